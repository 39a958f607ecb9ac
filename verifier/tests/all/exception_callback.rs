//! A tag of the main function can make another function part of the program: Linux judges that one, too.

use std::sync::Arc;

use ring3_btf::{Btf, FuncEntry, Linkage, ProgramInfo, TypeId};
use ring3_platform::{Errno, ProgType, Program, Target};
use ring3_verifier::{LogLevel, verify};

/// `int main()` as type 2, with this tag.
fn types(tag: &str) -> Btf {
    let strings = format!("\0main\0{tag}\0");
    let types: [u32; 10] = [
        0,
        13 << 24,
        0, // [1] FUNC_PROTO
        1,
        12 << 24,
        1, // [2] FUNC main, static
        6,
        17 << 24,
        2,
        u32::MAX, // [3] DECL_TAG of [2]
    ];
    let length = 4 * types.len() as u32;
    let header = [24, 0, length, length, strings.len() as u32];
    let words = header.iter().chain(&types).flat_map(|word| word.to_le_bytes());
    let bytes: Vec<u8> = [0x9f, 0xeb, 1, 0].into_iter().chain(words).chain(strings.bytes()).collect();
    Btf::parse(&bytes).unwrap()
}

fn judge(tag: &str) -> Result<(), (Errno, String)> {
    let code = ring3_isa::assemble("r0 = 0\nexit").unwrap();
    let main = FuncEntry { slot: 0, name: "main".into(), type_id: TypeId(2), linkage: Linkage::Static };
    let info = ProgramInfo {
        btf: Arc::new(types(tag)),
        funcs: vec![main],
        lines: Vec::new(),
        unresolved: Vec::new(),
        pending: Vec::new(),
    };
    let program = Program { info: Some(Arc::new(info)), ..Program::new("main", ProgType::SchedCls, code) };
    let verdict = verify(Arc::new(program), Arc::new(Target::default()), LogLevel(0));
    verdict.map(|_| ()).map_err(|rejection| (rejection.errno, rejection.message.clone()))
}

#[test]
fn the_callback_for_exceptions_has_to_be_there() {
    let refused = (Errno::ENOENT, "exception callback 'cb' could not be found in BTF".to_owned());
    assert_eq!(judge("exception_callback:cb"), Err(refused));
    let refused = (Errno::EINVAL, "exception callback 'main' must have global linkage".to_owned());
    assert_eq!(judge("exception_callback:main"), Err(refused));
    assert_eq!(judge("comment:test_expect_success"), Ok(()));
}
