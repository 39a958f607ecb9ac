//! Results of a program on some inputs, engine by engine, without comparing anything else.

use ring3::{Backend, Engine, Error, Input, Instance, Object, takes_packet};
use ring3_platform::{ProgType, Program};

/// A program that is to be run: one of an object, with the programs and maps that belong to it, or one alone.
#[derive(Clone, Copy, Debug)]
pub enum Single<'a> {
    /// Of an object, by name.
    Of(&'a Engine, &'a Object, &'a str),
    /// Without one.
    Alone(&'a Engine, &'a Program),
}

/// The results, one for each input; or why there are none.
pub type Results = Result<Vec<u32>, String>;

impl Single<'_> {
    /// On each engine of ring3, by name. Every input meets the maps that the former ones left.
    pub fn ours(&self, kind: ProgType, inputs: &[&[u8]]) -> Vec<(&'static str, Results)> {
        let jit = ring3::jit::Jit::is_supported().then_some(Backend::Jit);
        let backends = [Backend::Checked, Backend::Interpreter].into_iter().chain(jit);
        backends.map(|backend| (backend.name(), self.on(backend, kind, inputs))).collect()
    }

    /// On the kernel.
    pub fn kernel(&self, kind: ProgType, inputs: &[&[u8]]) -> Results {
        self.on(Backend::Kernel, kind, inputs)
    }

    fn on(&self, backend: Backend, kind: ProgType, inputs: &[&[u8]]) -> Results {
        let run = || -> Result<Vec<u32>, Error> {
            let (mut instance, name) = self.instance(backend)?;
            instance.set_host(ring3::vm::TestHost::default());
            let mut runner = instance.runner(&name)?;
            let mut one = |bytes: &&[u8]| {
                let input = if takes_packet(kind) { Input::Packet(bytes) } else { Input::Context(&[]) };
                Ok(runner.run(input)?.retval)
            };
            inputs.iter().map(&mut one).collect()
        };
        run().map_err(|error| error.to_string())
    }

    fn instance(&self, backend: Backend) -> Result<(Instance, String), Error> {
        match self {
            Single::Of(engine, object, name) => {
                Ok(((*engine).clone().backend(backend).load(object)?, (*name).to_owned()))
            }
            Single::Alone(engine, program) => {
                let instance = (*engine).clone().backend(backend).load_program((*program).clone());
                Ok((instance, program.name.clone()))
            }
        }
    }
}
