//! `ring3 load --attach`: programs where they run, for as long as the command lasts or their links are pinned.
//!
//! Nothing is attached anywhere that the command line does not name.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use ring3::ProgType;
use ring3_linux::{Direction, Link, LoadedObject, LoadedProgram, Uprobe, XdpMode, interface_index};

use crate::args::{LoadArgs, RunFormat};
use crate::error::CliError;
use crate::output::{Out, printable};

/// Folder for links, in the one for pins.
const LINKS: &str = "links";

/// A program, where it is attached, and by what.
type Attached = (String, String, Link);

/// Attaches what is to be attached. What fails takes back what was attached before it.
pub fn attach(args: &LoadArgs, loaded: &LoadedObject) -> Result<Vec<Attached>, CliError> {
    args.attach.iter().map(|wanted| one(wanted, loaded)).collect()
}

/// Says what is attached, and waits; pinned links need no waiting.
pub fn hold(args: &LoadArgs, links: &[Attached], out: &mut Out) -> Result<(), CliError> {
    if links.is_empty() {
        return Ok(());
    }
    let folder = args.pin.as_deref().map(|folder| folder.join(LINKS));
    if let Some(folder) = &folder {
        pin(folder, links)?;
    }
    for (name, place, link) in links {
        let id = link.info().ok().map(|info| info.id.0);
        match args.output {
            RunFormat::Json => {
                writeln!(out, "{}", serde_json::json!({ "attached": name, "to": place, "link": id }))?;
            }
            RunFormat::Table => {
                let id = id.map_or_else(String::new, |id| format!(", link {id}"));
                writeln!(out, "attached {} to {}{id}", printable(name), printable(place))?;
            }
        }
    }
    if args.output == RunFormat::Table {
        say_until(args, folder.as_deref(), out)?;
    }
    out.flush()?;
    if folder.is_some() {
        return Ok(());
    }
    match args.seconds.map(Duration::from_secs) {
        Some(wait) => std::thread::sleep(wait),
        // A signal ends the process, and the kernel takes back what it held.
        None => loop {
            std::thread::park();
        },
    }
    Ok(())
}

fn say_until(args: &LoadArgs, folder: Option<&Path>, out: &mut Out) -> Result<(), CliError> {
    if let Some(folder) = folder {
        writeln!(
            out,
            "links are pinned in {}; removing a file there detaches",
            printable(&folder.display().to_string())
        )?;
        return Ok(());
    }
    match args.seconds {
        Some(seconds) => writeln!(out, "for {seconds} s")?,
        None => writeln!(out, "until this command ends (Ctrl-C)")?,
    }
    Ok(())
}

/// Names the links `PROGRAM`, `PROGRAM.1` and so on.
fn pin(folder: &Path, links: &[Attached]) -> Result<(), CliError> {
    std::fs::create_dir_all(folder).map_err(|error| CliError::file(folder, error))?;
    let mut made = Vec::new();
    for (at, (name, _, link)) in links.iter().enumerate() {
        let same = links[..at].iter().filter(|(other, ..)| other == name).count();
        let name = name.replace(['.', '/'], "_");
        let path = folder.join(if same == 0 { name } else { format!("{name}_{same}") });
        if let Err(error) = link.pin(&path) {
            for path in made {
                let _ = std::fs::remove_file(path);
            }
            let _ = std::fs::remove_dir(folder);
            return Err(CliError::file(&path, error));
        }
        made.push(path);
    }
    Ok(())
}

/// `[PROGRAM=]PLACE`, or only `PROGRAM` if its section says the place. Gives program, place and link.
fn one(wanted: &str, loaded: &LoadedObject) -> Result<Attached, CliError> {
    let wrong = |why: String| CliError::Input(format!("--attach {wanted}: {why}"));
    let named = |name: &str| loaded.programs.iter().find(|program| program.program.name == name);
    let (program, place) = match wanted.split_once('=') {
        Some((name, place)) => (
            named(name).ok_or_else(|| wrong(format!("there is no program '{name}' among those that were loaded")))?,
            place,
        ),
        None => match (named(wanted), &loaded.programs[..]) {
            (Some(program), _) => (program, ""),
            (None, [only]) => (only, wanted),
            (None, all) => {
                let names: Vec<&str> = all.iter().map(|program| program.program.name.as_str()).collect();
                return Err(wrong(format!("say which program: PROGRAM=PLACE, with one of {}", names.join(", "))));
            }
        },
    };
    let link = link(program, place).map_err(wrong)?;
    let place = if place.is_empty() { program.program.section.as_str() } else { place };
    Ok((program.program.name.clone(), place.to_owned(), link))
}

/// What an interface is written as, and what follows behind a colon.
fn interface(place: &str) -> Result<(u32, &str), String> {
    let (name, way) = place.split_once(':').unwrap_or((place, ""));
    if name.is_empty() {
        return Err("say the interface: PROGRAM=eth0".to_owned());
    }
    let index = interface_index(name).map_err(|error| format!("interface '{name}': {error}"))?;
    Ok((index, way))
}

fn link(loaded: &LoadedProgram, place: &str) -> Result<Link, String> {
    let (prog, program) = (&loaded.prog, &loaded.program);
    let text = |error: ring3_linux::Error| error.to_string();
    // Behind the first part of the section is the place, if there is one.
    let section = program.section.split_once('/').map_or("", |(_, place)| place);
    let given = if place.is_empty() { section } else { place };
    match program.kind {
        ProgType::Xdp => {
            let (index, way) = interface(place)?;
            let mode = match way {
                "" => XdpMode::Any,
                "generic" => XdpMode::Generic,
                "native" => XdpMode::Native,
                way => return Err(format!("'{way}' is neither generic nor native")),
            };
            Link::xdp(prog, index, mode).map_err(text)
        }
        ProgType::SchedCls => {
            let (index, way) = interface(place)?;
            let direction = match way {
                "" | "ingress" => Direction::Ingress,
                "egress" => Direction::Egress,
                way => return Err(format!("'{way}' is neither ingress nor egress")),
            };
            Link::tcx(prog, index, direction).map_err(text)
        }
        ProgType::CgroupSkb
        | ProgType::CgroupSock
        | ProgType::CgroupSockAddr
        | ProgType::CgroupSockopt
        | ProgType::CgroupSysctl
        | ProgType::CgroupDevice
        | ProgType::SockOps => {
            let attach = program.kind.effective_attach(program.attach).ok_or("its section says no attach type")?;
            if place.is_empty() {
                return Err("say the cgroup: PROGRAM=/sys/fs/cgroup/NAME".to_owned());
            }
            let folder = File::open(place).map_err(|error| format!("{place}: {error}"))?;
            Link::cgroup(prog, &folder, attach).map_err(text)
        }
        ProgType::RawTracepoint | ProgType::RawTracepointWritable => Link::raw_tracepoint(prog, given).map_err(text),
        ProgType::Tracepoint => {
            let (category, name) =
                given.split_once('/').ok_or("say the tracepoint: PROGRAM=syscalls/sys_enter_openat")?;
            Link::tracepoint(prog, category, name).map_err(text)
        }
        ProgType::Kprobe => probe(loaded, given).map_err(|error| error.to_string()),
        ProgType::Tracing | ProgType::Lsm => Link::tracing(prog).map_err(text),
        ProgType::SocketFilter
        | ProgType::SchedAct
        | ProgType::PerfEvent
        | ProgType::LwtIn
        | ProgType::LwtOut
        | ProgType::LwtXmit
        | ProgType::LwtSeg6local
        | ProgType::SkSkb
        | ProgType::SkMsg
        | ProgType::SkReuseport
        | ProgType::SkLookup
        | ProgType::LircMode2
        | ProgType::FlowDissector
        | ProgType::StructOps
        | ProgType::Ext
        | ProgType::Syscall
        | ProgType::Netfilter => Err(format!("programs of type {} are not attached from here", program.kind.name())),
    }
}

/// A function of the kernel, or `FILE+OFFSET` in a program of user space.
fn probe(loaded: &LoadedProgram, place: &str) -> Result<Link, String> {
    let section = &loaded.program.section;
    let is_return = section.starts_with("kretprobe") || section.starts_with("uretprobe");
    let text = |error: ring3_linux::Error| error.to_string();
    if place.is_empty() {
        return Err("say the function, or FILE+OFFSET for a program of user space".to_owned());
    }
    if !place.starts_with('/') {
        return Link::kprobe(&loaded.prog, place, 0, is_return).map_err(text);
    }
    let (file, offset) = place.rsplit_once('+').ok_or("say FILE+OFFSET, with the offset within the file")?;
    let offset = match offset.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => offset.parse(),
    };
    let offset = offset.map_err(|error| format!("the offset: {error}"))?;
    let probe = Uprobe { binary: Path::new(file), offset, is_return, pid: None };
    Link::uprobe(&loaded.prog, &probe).map_err(text)
}
