//! Loads an object, runs its program on a packet, reads a map.

fn main() -> Result<(), ring3::Error> {
    let object = ring3::open(concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/bpf/drop_icmp.bpf.o"))?;
    let mut instance = ring3::Engine::new().load(&object)?;
    // An Ethernet header that says IPv4, an IPv4 header that says ICMP, an echo request.
    let ping = ring3::text::hex_bytes(
        "02000000000b02000000000a0800 4500001c00014000400126de0a0000010a000002 0800f7fd00010001",
    )
    .unwrap_or_default();
    let output = instance.run("drop_icmp", &ping)?;
    let drops: Option<u64> = instance.map("drop_count")?.get(0u32);
    println!("{} after {:?}, drops: {}", output.name().unwrap_or("?"), output.duration, drops.unwrap_or(0));
    println!("trace: {}", instance.trace().concat());
    Ok(())
}
