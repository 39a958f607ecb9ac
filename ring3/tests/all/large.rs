//! A map that is large by its definition, and empty, costs no memory to look through.
use std::sync::Arc;

use ring3::{Engine, MapDef, MapType, ProgType, Program, isa};

#[test]
fn a_large_empty_array_is_looked_through_one_by_one() {
    let mut program = Program::new("p", ProgType::Xdp, isa::assemble("r0 = 2\nexit").unwrap());
    program.maps = vec![Arc::new(MapDef::new("large", MapType::Array, 4, 8, 1 << 20))];
    let instance = Engine::new().load_program(program);
    let map = instance.map("large").unwrap();
    map.set(0xf_fff0u32, 7u64).unwrap();
    let entries = map.nonzero_entries();
    assert_eq!((entries.len(), entries[0].is_zero), (1, false));
    assert_eq!(map.iter_bytes().count(), 1 << 20);
    assert_eq!(map.iter_bytes().nth(3), Some((vec![3, 0, 0, 0], vec![0; 8])));
}
