//! Which programs may share a map with programs in it: as one that uses the map, and as one that is put into it, after another one came
//! to it first. Beside the running kernel, where bpf(2) can be used.

use std::fmt::Write;
use std::sync::Arc;

use ring3::btf::{Btf, Kind};
use ring3::vm::{Helpers, Interp, LinkError, link, maps};
use ring3::{AttachType, Engine, MapDef, MapType, ProgType, Program};
use ring3_linux::LoadOptions;
use ring3_platform::Errno;
use ring3_verifier::LogLevel;

/// A sort of programs, and the storage of control groups that it has (0 for none).
type Sort = (ProgType, Option<AttachType>, &'static str, usize);

/// One that understands fragments, one that may sleep.
const FRAGS: &str = "frags";
const SLEEPS: &str = "sleeps";

fn sorts(types: bool) -> Vec<Sort> {
    use AttachType::{
        CgroupInet4Connect, CgroupInetEgress, CgroupInetIngress, CgroupInetSockCreate, TcxIngress, TraceKprobeMulti,
        TraceRawTp, XdpCpumap, XdpDevmap,
    };
    use ProgType::{CgroupSkb, CgroupSock, CgroupSockAddr, Kprobe, SchedCls, SocketFilter, Tracing, Xdp};
    let mut sorts = vec![
        (SocketFilter, None, "", 0),
        (Xdp, None, "", 0),
        (Xdp, None, FRAGS, 0),
        (Xdp, Some(AttachType::Xdp), "", 0),
        (Xdp, Some(XdpDevmap), "", 0),
        (Xdp, Some(XdpDevmap), FRAGS, 0),
        (Xdp, Some(XdpCpumap), "", 0),
        (SchedCls, None, "", 0),
        (SchedCls, Some(TcxIngress), "", 0),
        (Kprobe, None, "", 0),
        (Kprobe, None, SLEEPS, 0),
        (Kprobe, Some(TraceKprobeMulti), "", 0),
        (CgroupSock, None, "", 0),
        (CgroupSock, Some(CgroupInetSockCreate), "", 0),
        (CgroupSockAddr, Some(CgroupInet4Connect), "", 0),
        (CgroupSkb, None, "", 0),
        (CgroupSkb, Some(CgroupInetIngress), "", 0),
        (CgroupSkb, Some(CgroupInetEgress), "", 0),
        (CgroupSkb, None, "", 1),
        (CgroupSkb, None, "", 2),
    ];
    if types {
        let points = ["tp_btf/sched_wakeup", "tp_btf/sched_waking", "tp_btf/sched_switch"];
        sorts.extend(points.map(|point| (Tracing, Some(TraceRawTp), point, 0)));
    }
    sorts
}

/// The map that programs share, and two for storage.
fn definitions(kind: MapType) -> Vec<Arc<MapDef>> {
    let storage = |name| MapDef::new(name, MapType::CgroupStorage, 8, 8, 0);
    let shared = MapDef::new("shared", kind, 4, 4, 2);
    [shared, storage("one"), storage("two")].map(Arc::new).into()
}

/// Those of the three that a program refers to.
fn pick<M: Clone>(all: &[M], storage: usize, uses: bool) -> Vec<M> {
    let shared = uses.then(|| all[0].clone());
    shared.into_iter().chain((storage > 0).then(|| all[storage].clone())).collect()
}

fn program(sort: Sort, uses: bool, kind: MapType) -> Program {
    let (prog_type, attach, more, storage) = sort;
    let mut text = String::from("r6 = r1\n");
    if storage > 0 {
        text += &format!("r1 = map[fd:{}]\nr2 = 0\ncall 81\nr1 = r6\n", u8::from(uses));
    }
    if uses && kind == MapType::ProgArray {
        text += "r2 = map[fd:0]\nr3 = 1\ncall 12\n";
    } else if uses {
        text += "r1 = map[fd:0]\nr2 = 1\nr3 = 0\ncall 51\n";
    }
    text += "r0 = 0\nexit";
    let mut program = Program::new("sort", prog_type, ring3::isa::assemble(&text).expect("instructions"));
    (program.attach, program.frags, program.sleepable) = (attach, more == FRAGS, more == SLEEPS);
    if more.contains('/') {
        program.section = more.to_owned();
    }
    program.maps = pick(&definitions(kind), storage, uses);
    program
}

/// Two answers: loading the second where it uses the map, and putting it into the map where it does not.
type Answers = [Result<(), Option<i32>>; 2];

fn linux(types: Option<&Btf>, first: Sort, second: Sort, kind: MapType) -> Answers {
    let maps: Vec<_> = definitions(kind).iter().map(|def| ring3_linux::Map::create(def).expect("a map")).collect();
    let load = |sort: Sort, uses| {
        let program = program(sort, uses, kind);
        let maps = pick(&maps.iter().collect::<Vec<_>>(), sort.3, uses);
        let typedef = program.attach_name().map(|name| format!("btf_trace_{name}"));
        let point = typedef.and_then(|name| types?.find(&name, Kind::Typedef)).map_or(0, |id| id.0);
        ring3_linux::load_with(&program, &maps, &LoadOptions { attach_btf_id: point, ..LoadOptions::default() })
            .map_err(|error| error.errno().map(|errno| errno.0))
    };
    if let Err(errno) = load(first, true) {
        return [Err(errno), Err(None)];
    }
    let put = |kind| {
        let loaded = load(second, false).unwrap_or_else(|errno| panic!("{second:?}: {errno:?}"));
        let put = maps[0].put(&[0; 4], &loaded.prog).map_err(|error| error.errno().map(|errno| errno.0));
        if kind == MapType::ProgArray { put } else { Ok(()) }
    };
    [load(second, true).map(drop), put(kind)]
}

fn ours(engine: &Engine, first: Sort, second: Sort, kind: MapType) -> Answers {
    let maps: Vec<_> = definitions(kind).iter().map(|def| maps::create(def, 1).expect("a map")).collect();
    let load = |sort: Sort, uses| {
        let verified = engine.verify_program(program(sort, uses, kind), LogLevel::default());
        let verified = match verified {
            Err(ring3::Error::Rejected { rejection, .. }) => return Err(Some(rejection.errno.number())),
            other => other.unwrap_or_else(|error| panic!("{sort:?}: {error}")),
        };
        match link(&verified, &pick(&maps, sort.3, uses), &Helpers::new()) {
            Ok(linked) => Ok(Arc::new(Interp::new(Arc::new(linked)))),
            Err(LinkError::OtherSort { .. }) => Err(Some(Errno::EINVAL.number())),
            Err(error) => panic!("{sort:?}: {error}"),
        }
    };
    if let Err(errno) = load(first, true) {
        return [Err(errno), Err(None)];
    }
    let second_uses = load(second, true).map(drop);
    let put = match kind {
        MapType::ProgArray => load(second, false)
            .and_then(|program| maps[0].set_program(0, Some(program)).map_err(|errno| Some(errno.number()))),
        _ => Ok(()),
    };
    [second_uses, put]
}

#[test]
fn programs_share_maps_with_those_that_linux_lets_them() {
    if let Err(why) = ring3_linux::available() {
        return println!("skipped: {why}");
    }
    let types = std::fs::read("/sys/kernel/btf/vmlinux").ok().and_then(|bytes| Btf::parse(&bytes).ok());
    if types.is_none() {
        println!("skipped: programs at tracepoints, as the kernel's types are not there");
    }
    let engine = types.clone().map_or_else(Engine::new, |types| Engine::new().btf(types));
    let (mut wrong, mut refused, mut compared) = (String::new(), 0, 0);
    for kind in [MapType::ProgArray, MapType::Devmap, MapType::Cpumap] {
        let fits = |sort: &&Sort| kind == MapType::ProgArray || sort.0 == ProgType::Xdp;
        let sorts = sorts(types.is_some());
        for (first, second) in
            sorts.iter().filter(fits).flat_map(|one| sorts.iter().filter(fits).map(move |two| (*one, *two)))
        {
            let (theirs, ours) = (linux(types.as_ref(), first, second, kind), ours(&engine, first, second, kind));
            compared += 1;
            refused += theirs.iter().filter(|answer| answer.is_err()).count();
            if theirs != ours {
                writeln!(wrong, "{kind:?}: {first:?}, then {second:?}: {theirs:?}, here {ours:?}").expect("text");
            }
        }
    }
    println!("{compared} pairs compared, {refused} refusals");
    assert!(wrong.is_empty() && refused > 300, "{refused} refusals\n{wrong}");
}
