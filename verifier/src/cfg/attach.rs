//! What a program is attached to.

use ring3_platform::{AttachType, ProgType, Program};

use crate::diag::reject::Reject;

/// The attach type suits the program type. Linux looks at it before anything else.
pub fn check_type(program: &Program) -> Result<(), Reject> {
    if program.kind.may_attach(program.attach) {
        return Ok(());
    }
    Err(Reject::AttachType { kind: program.kind.name(), attach: program.attach.map_or("none", AttachType::name) })
}

/// The program may sleep where it says so. Linux looks at it after the structure.
pub fn check_target(program: &Program) -> Result<(), Reject> {
    if program.kind == ProgType::Syscall {
        return if program.sleepable { Ok(()) } else { Err(Reject::SyscallSleepable {}) };
    }
    if program.sleepable && !program.kind.may_sleep(program.attach) {
        return Err(Reject::NotSleepable {});
    }
    Ok(())
}
