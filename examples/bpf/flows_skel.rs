//! What `flows.bpf.o` has, made by `ring3 gen skeleton --lang rust`.
#![allow(dead_code, unused_imports)]

use ring3::typed::TypedMap;
use ring3::{Engine, Error, Input, Instance, MapRef, Object, Output, Plain};

/// The object.
pub const OBJECT: &[u8] = include_bytes!("flows.bpf.o");

/// The object before it is loaded.
#[derive(Clone, Debug)]
pub struct OpenFlows {
    /// With all that the library offers.
    pub object: Object,
}

impl OpenFlows {
    /// Reads it.
    pub fn open() -> Result<Self, Error> {
        Ok(OpenFlows { object: Object::parse("flows.bpf.o", OBJECT)? })
    }

    /// Creates its maps. Programs are verified when they are first asked for.
    pub fn load(&self, engine: &Engine) -> Result<Flows, Error> {
        Ok(Flows { instance: engine.load(&self.object)? })
    }
}

/// The object when it is loaded.
#[derive(Debug)]
pub struct Flows {
    /// With all that the library offers.
    pub instance: Instance,
}

impl Flows {
    /// Loads it as it is.
    pub fn load(engine: &Engine) -> Result<Self, Error> {
        OpenFlows::open()?.load(engine)
    }

    /// The map `protocols`, of the type hash.
    pub fn protocols(&self) -> Result<TypedMap<'_, Protocol, Traffic>, Error> {
        Ok(self.instance.map("protocols")?.of_types())
    }

    /// The map `flows`, of the type hash.
    pub fn flows(&self) -> Result<TypedMap<'_, Flow, Traffic>, Error> {
        Ok(self.instance.map("flows")?.of_types())
    }

    /// The map `events`, of the type ringbuf.
    pub fn events(&self) -> Result<MapRef<'_>, Error> {
        self.instance.map("events")
    }

    /// Runs the program `flows_by_protocol` (`xdp`) once.
    pub fn run_flows_by_protocol<'a>(&mut self, input: impl Into<Input<'a>>) -> Result<Output, Error> {
        self.instance.run("flows_by_protocol", input)
    }
}

/// `protocol`
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Protocol {
    pub ethertype: u16,
    pub ip_protocol: u8,
    pub zero: u8,
}

impl Plain for Protocol {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 4];
        bytes[0..2].copy_from_slice(&Plain::to_bytes(&self.ethertype));
        bytes[2..3].copy_from_slice(&Plain::to_bytes(&self.ip_protocol));
        bytes[3..4].copy_from_slice(&Plain::to_bytes(&self.zero));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 4).then_some(())?;
        Some(Protocol {
            ethertype: Plain::from_bytes(bytes.get(0..2)?)?,
            ip_protocol: Plain::from_bytes(bytes.get(2..3)?)?,
            zero: Plain::from_bytes(bytes.get(3..4)?)?,
        })
    }
}

/// `traffic`
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Traffic {
    pub packets: u64,
    pub bytes: u64,
}

impl Plain for Traffic {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes[0..8].copy_from_slice(&Plain::to_bytes(&self.packets));
        bytes[8..16].copy_from_slice(&Plain::to_bytes(&self.bytes));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 16).then_some(())?;
        Some(Traffic {
            packets: Plain::from_bytes(bytes.get(0..8)?)?,
            bytes: Plain::from_bytes(bytes.get(8..16)?)?,
        })
    }
}

/// `flow`
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Flow {
    pub source: u32,
    pub destination: u32,
    pub source_port: u16,
    pub destination_port: u16,
    pub ip_protocol: u32,
}

impl Plain for Flow {
    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; 16];
        bytes[0..4].copy_from_slice(&Plain::to_bytes(&self.source));
        bytes[4..8].copy_from_slice(&Plain::to_bytes(&self.destination));
        bytes[8..10].copy_from_slice(&Plain::to_bytes(&self.source_port));
        bytes[10..12].copy_from_slice(&Plain::to_bytes(&self.destination_port));
        bytes[12..16].copy_from_slice(&Plain::to_bytes(&self.ip_protocol));
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        (bytes.len() == 16).then_some(())?;
        Some(Flow {
            source: Plain::from_bytes(bytes.get(0..4)?)?,
            destination: Plain::from_bytes(bytes.get(4..8)?)?,
            source_port: Plain::from_bytes(bytes.get(8..10)?)?,
            destination_port: Plain::from_bytes(bytes.get(10..12)?)?,
            ip_protocol: Plain::from_bytes(bytes.get(12..16)?)?,
        })
    }
}
