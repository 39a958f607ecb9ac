//! Skeletons that `ring3 gen skeleton` wrote of two examples (`cli/tests/all/skeleton.rs` writes them again).

#[rustfmt::skip]
#[path = "../../../examples/bpf/flows_skel.rs"]
mod flows;
#[rustfmt::skip]
#[path = "../../../examples/bpf/hello_skel.rs"]
mod hello;

use ring3::Engine;

#[test]
fn maps_have_types() {
    let mut flows = flows::Flows::load(&Engine::new()).unwrap();
    // Ethernet, IPv4 from 10.0.0.1 to 10.0.0.2, UDP from port 1 to port 2.
    let mut packet = vec![0u8; 60];
    packet[12..14].copy_from_slice(&[0x08, 0x00]);
    packet[14..16].copy_from_slice(&[0x45, 0]);
    packet[16..18].copy_from_slice(&46u16.to_be_bytes());
    packet[23] = 17;
    packet[26..34].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
    packet[34..38].copy_from_slice(&[0, 1, 0, 2]);
    for _ in 0..3 {
        flows.run_flows_by_protocol(&packet).unwrap();
    }
    let protocols = flows.protocols().unwrap();
    let found: Vec<(flows::Protocol, flows::Traffic)> = protocols.iter().collect();
    assert_eq!(found.len(), 1);
    let (key, traffic) = found[0];
    assert_eq!((key.ip_protocol, traffic.packets), (17, 3));
    assert_eq!(protocols.get(key), Some(traffic));
    protocols.set(key, flows::Traffic { packets: 7, ..traffic }).unwrap();
    assert_eq!(protocols.get(key).unwrap().packets, 7);
    protocols.remove(key).unwrap();
    assert_eq!(protocols.get(key), None);
    assert_eq!(flows.flows().unwrap().iter().count(), 1);
    assert_eq!(flows.events().unwrap().name(), "events");
}

#[test]
fn global_variables_have_types() {
    let mut open = hello::OpenHello::open().unwrap();
    assert_eq!(open.counter().unwrap(), 0);
    open.set_counter(40).unwrap();
    let mut hello = open.load(&Engine::new()).unwrap();
    hello.run_hello(&[0u8; 14]).unwrap();
    assert_eq!(hello.counter().unwrap(), 41);
    hello.set_counter(-2).unwrap();
    hello.run_hello(&[0u8; 14]).unwrap();
    assert_eq!(hello.counter().unwrap(), -1);
}
