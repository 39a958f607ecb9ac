//! What `hello.bpf.o` has, made by `ring3 gen skeleton --lang rust`.
#![allow(dead_code, unused_imports)]

use ring3::typed::TypedMap;
use ring3::{Engine, Error, Input, Instance, MapRef, Object, Output, Plain};

/// The object.
pub const OBJECT: &[u8] = include_bytes!("hello.bpf.o");

/// The object before it is loaded.
#[derive(Clone, Debug)]
pub struct OpenHello {
    /// With all that the library offers.
    pub object: Object,
}

impl OpenHello {
    /// Reads it.
    pub fn open() -> Result<Self, Error> {
        Ok(OpenHello { object: Object::parse("hello.bpf.o", OBJECT)? })
    }

    /// Creates its maps. Programs are verified when they are first asked for.
    pub fn load(&self, engine: &Engine) -> Result<Hello, Error> {
        Ok(Hello { instance: engine.load(&self.object)? })
    }

    /// The variable `counter` as it will be when the object is loaded.
    pub fn counter(&self) -> Result<i32, Error> {
        ring3::typed::global(&self.object, "counter")
    }

    /// Sets it.
    pub fn set_counter(&mut self, value: i32) -> Result<(), Error> {
        ring3::typed::set_global(&mut self.object, "counter", &value)
    }
}

/// The object when it is loaded.
#[derive(Debug)]
pub struct Hello {
    /// With all that the library offers.
    pub instance: Instance,
}

impl Hello {
    /// Loads it as it is.
    pub fn load(engine: &Engine) -> Result<Self, Error> {
        OpenHello::open()?.load(engine)
    }

    /// The variable `counter`.
    pub fn counter(&self) -> Result<i32, Error> {
        ring3::typed::part(&self.instance, ".bss", 0..4)
    }

    /// Sets it.
    pub fn set_counter(&self, value: i32) -> Result<(), Error> {
        ring3::typed::set_part(&self.instance, ".bss", 0..4, &value)
    }

    /// Runs the program `hello` (`xdp`) once.
    pub fn run_hello<'a>(&mut self, input: impl Into<Input<'a>>) -> Result<Output, Error> {
        self.instance.run("hello", input)
    }
}
