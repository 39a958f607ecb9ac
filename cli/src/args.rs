//! The command line.
// The comments here are the texts of --help, where brackets mean what they say.
#![allow(rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use ring3::classic::Arch;
use ring3::verifier::Code;
use ring3::{Backend, KernelVersion, ProgType};

const ABOUT: &str = "The Linux BPF virtual machine outside the kernel";

const LONG_ABOUT: &str = "\
The Linux BPF virtual machine outside the kernel: says what the Linux verifier would say of a compiled BPF object, \
and runs its programs on packets. Needs neither root nor a kernel with BPF, but for `load`.";

const EXAMPLES: &str = "\
Examples:
  ring3 verify drop_icmp.bpf.o                            would Linux load it?
  ring3 run drop_icmp.bpf.o --pcap mixed.pcap             what does it do to these packets?
  ring3 dump asm drop_icmp.bpf.o                          what did the compiler make of it?
  tcpdump -y EN10MB -ddd arp | ring3 filter --bytecode - mixed.pcap

Exit status: 0 all is well, 1 a program was rejected, 2 wrong usage or bad input.";

const VERIFY_EXAMPLES: &str = "\
Examples:
  ring3 verify *.bpf.o                                    a row for each program
  ring3 verify -o text broken.bpf.o                       why was it rejected, and what to do?
  ring3 verify --log-level 1 broken.bpf.o                 the kernel's log, with source lines
  ring3 verify --program lb -o json lb.bpf.o              one JSON object a line, for scripts
  ring3 verify --kernel 5.15 lb.bpf.o                     would an older kernel load it?
  ring3 verify --kernel all *.bpf.o                       from which release on would it?
  ring3 verify --profile=lb.svg lb.bpf.o                  what takes so many instructions?
  ring3 verify -o sarif *.bpf.o > ring3.sarif             for code scanning
  ring3 verify --type xdp odd_section.bpf.o               where the section's name does not say the type
  ring3 verify --target lb.bpf.o new_pick.bpf.o           freplace programs, by the program that they extend

Exit status: 0 all accepted, 1 something rejected, 2 a file or program could not be read as far as the verifier.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  ring3 explain                                           all codes
  ring3 explain R3-3001                                   one of them";

const GEN_EXAMPLES: &str = "\
Examples:
  ring3 gen skeleton lb.bpf.o > lb_skel.rs                for tests and tools in Rust
  ring3 gen skeleton --lang c lb.bpf.o > lb.skel.h        for a loader in C, with libbpf

Exit status: 0 it was written, 2 a file could not be read.";

const LINK_EXAMPLES: &str = "\
Examples:
  ring3 link app.bpf.o main.bpf.o lib.bpf.o               functions, variables and maps of one for the other

Sections of the same name come one behind the other, every type is there once. Of a name that is defined twice one must be weak.

Exit status: 0 it was written, 2 the objects do not go together.";

const FEATURE_EXAMPLES: &str = "\
Examples:
  ring3 feature                                           three tables
  ring3 feature -o json                                   the same, a row a line";

const RUN_EXAMPLES: &str = "\
Examples:
  ring3 run drop_icmp.bpf.o --pcap mixed.pcap
  ring3 run lb.bpf.o --pcap lb.pcap --set pick=0 --write-pcap out.pcap
  ring3 run lb.bpf.o --packet 'ff ff ff ff ff ff 02 00 00 00 00 0a 08 06 ...'
  ring3 run maps.bpf.o --program route --pcap mixed.pcap --map routes:10.0.0.0/8=1
  ring3 run openat.bpf.o --ctx record.bin --repeat 1000000 -o json
  ring3 run sockets.bpf.o --program to_proxy --field user_ip4=1.2.3.4 --field sk.protocol=6
  ring3 run sockets.bpf.o --program tos_limit --field level=0 --field optname=1 --data 60
  ring3 run sockets.bpf.o --program settings --field name=net/ipv4/tcp_wmem --field new=8192
  ring3 run openat.bpf.o --event 'syscalls:sys_enter_openat filename=/etc/passwd @task.comm=cat @task.pid=42'
  ring3 run tenant.bpf.o --pcap mixed.pcap --jit-blind --jit-retpolines --budget 100000
  perf record -k mono ring3 run lb.bpf.o --packet '...' --repeat 10000000 --perf=.

Values of --set and --map, by the type of the variable, key or value:
  integer     42, -1, 0x2a; of 4 bytes also 10.0.0.1 (in the order of the wire)
  bool, enum  true, or the name of an enum's value
  characters  text; bytes also as 02:00:00:00:00:0a
  struct      {port=53, address=10.0.0.1} or {53, 10.0.0.1}; an array {1, 2, 3}
  LPM key     10.0.0.0/8
  any         hex:0a000001, the bytes in memory

Values of --field: 42, -1, 0x2a, 10.0.0.1, ::1; be:80 for a port in the order of the network; an
element by its index, as user_ip6[3]=1

Events: WHERE PATH=VALUE... with WHERE a section's name (kprobe/do_unlinkat), sched:sched_switch or do_unlinkat for all programs there.
  PATH        an argument or what it leads to: prev.comm, name->name, args[2]; of a record, a field
  VALUE       42, -1, 0x2a; text; user:text for memory of the process; [a,b] for elements
  @task.PATH  of the current task: @task.comm=bash @task.pid=42 @task.uid=501
  @returns, @record, @cpu, @times, and nanoseconds @after the event before and that it @takes

Exit status: 0 it ran, 1 the program was rejected, 2 wrong usage or bad input.";

const DUMP_EXAMPLES: &str = "\
Examples:
  ring3 dump asm lb.bpf.o                                 the object's instructions, with source lines
  ring3 dump asm --dialect mnemonic lb.bpf.o                  the same, as ubpf and rbpf write it
  ring3 dump xlated lb.bpf.o --program lb                 after verification, as the engines see them
  ring3 dump jited lb.bpf.o --program lb                  the machine code
  ring3 dump jited lb.bpf.o --program lb --arch arm64     the machine code of another machine
  ring3 dump jited lb.bpf.o --program lb --jit-blind      the same without the program's constants
  ring3 dump maps -o json flows.bpf.o                     the definitions of the maps
  ring3 dump btf flows.bpf.o | less                       types; also of a raw BTF file
  ring3 dump relos openat.bpf.o --btf vmlinux.btf         what CO-RE relocations found, as libbpf logs it
  ring3 dump btf --format c /sys/kernel/btf/vmlinux > vmlinux.h
  ring3 dump btf --format c -B /sys/kernel/btf/vmlinux /sys/kernel/btf/nf_tables";

const LOAD_EXAMPLES: &str = "\
Examples:
  ring3 load lb.bpf.o                                     does this kernel take it?
  ring3 load lb.bpf.o --log-level 4                       what its verifier had to do
  ring3 load flows.bpf.o --pin /sys/fs/bpf/flows          and stay: programs as NAME, maps as maps/NAME
  ring3 load drop_icmp.bpf.o --attach eth0                and run on what comes in there, until Ctrl-C
  ring3 load tc.bpf.o --attach count=eth0:egress          tc: ingress or egress; XDP: generic or native

Needs root, or CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON. Nothing is attached but what --attach names; what is not \
pinned goes when the command ends, attachments first. Maps that say that they are pinned by name are taken from /sys/fs/bpf, or pinned there.

Exit status: 0 the kernel has loaded it, 1 it rejected a program, 2 wrong usage, bad input or no bpf(2).";

const PARITY_EXAMPLES: &str = "\
Examples:
  ring3 parity *.bpf.o                                    do ring3 and the running kernel say the same?
  ring3 parity -o json --programs 'xdp_*' *.bpf.o         one JSON document: totals, ratios, programs
  ring3 parity --run --pcap mixed.pcap lb.bpf.o           do all engines and the kernel do the same to these packets?

Needs root, or CAP_BPF with CAP_NET_ADMIN and CAP_PERFMON: the kernel loads each program with its maps, and lets go of \
it again. Nothing is attached. Where bpf(2) cannot be used, ring3 judges alone.

Exit status: 0 no false accept, or with --run no difference; 1 ring3 accepts a program that the kernel's verifier rejects, \
or two engines differ; 2 wrong usage or a file that could not be read.";

const FILTER_EXAMPLES: &str = "\
Examples:
  tcpdump -y EN10MB -ddd udp port 53 | ring3 filter --bytecode - mixed.pcap
  ring3 filter --ddd '4,40 0 0 12,21 0 1 2054,6 0 0 65535,6 0 0 0' mixed.pcap --write-pcap arp.pcap
  ring3 filter --bytecode host.txt --dump ebpf            what the filter becomes
  ring3 filter --seccomp --bytecode policy.txt --syscall openat --arg 2=0x241
  ring3 filter --seccomp --bytecode policy.bpf --arch aarch64 --syscall all -o json

FILE has the filter in any of these forms: tcpdump -d, -dd or -ddd, bpf_asm's text or its output, or the bytes of \
struct sock_filter. A packet is kept if the filter returns a number other than zero, and as many bytes of it at most.

Exit status: 0 it ran, 1 Linux would refuse the filter, 2 wrong usage or bad input.";

/// The whole command line.
#[derive(Parser, Debug)]
#[command(name = "ring3", version, about = ABOUT, long_about = LONG_ABOUT, after_help = EXAMPLES, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Say of each program of BPF objects whether Linux would load it
    Verify(VerifyArgs),
    /// Explain a code such as R3-3001: what the rule is for, and what to do; without one, list all
    Explain(ExplainArgs),
    /// Run a program on packets, and show what it returns, changes, counts and prints
    Run(Box<RunArgs>),
    /// Show what is in an object: instructions, machine code, maps, types
    Dump(DumpArgs),
    /// Write source code that has an object's programs, maps and global variables by name and type
    Gen(GenArgs),
    /// Link several objects into one, as `bpftool gen object` does
    Link(LinkArgs),
    /// Load an object into the running kernel
    Load(LoadArgs),
    /// Compare verdicts with those of the running kernel, program by program
    Parity(ParityArgs),
    /// List Linux's helpers, program types and map types, and where each works
    Feature(FeatureArgs),
    /// Run a filter of classic BPF on a capture, or one of seccomp on system calls
    Filter(FilterArgs),
}

/// `ring3 verify`.
#[derive(Args, Debug)]
#[command(after_help = VERIFY_EXAMPLES)]
pub struct VerifyArgs {
    /// BPF objects, as clang -target bpf -c writes them; - for standard input
    #[arg(value_name = "OBJ", required = true)]
    pub objects: Vec<PathBuf>,
    /// Only the programs of this name
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// Take programs to be of this type, whatever their sections are called
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgType>,
    /// BTF of the kernel, as in /sys/kernel/btf/vmlinux: its structures, for programs that get pointers to them
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    #[command(flatten)]
    pub kconfig: KconfigArgs,
    /// What freplace programs extend: an object, perhaps with one of its programs, and the function if the section does not name it
    #[arg(long, value_name = "OBJ[:PROGRAM[:FUNCTION]]")]
    pub target: Option<String>,
    /// The kernel whose rules hold: 5.4 to 7.3, or all for a table of releases
    #[arg(long, value_name = "RELEASE", default_value = "6.18", value_parser = kernel)]
    pub kernel: KernelArg,
    /// Judge without pruning as well, and say where that gives another verdict, or that it takes too long
    #[arg(long, conflicts_with = "profile")]
    pub no_prune: bool,
    /// How much to log: 0 nothing, 1 the way to the error, 2 every state, 4 statistics
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub log_level: u8,
    /// Show where the verifier's budget goes, and why states differ; with =FILE also as a flame graph (SVG)
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, conflicts_with = "output")]
    pub profile: Option<Option<PathBuf>>,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = VerifyFormat::Table)]
    pub output: VerifyFormat,
}

/// `ring3 gen`.
#[derive(Args, Debug)]
#[command(after_help = GEN_EXAMPLES)]
pub struct GenArgs {
    /// What to write
    #[command(subcommand)]
    pub what: Generated,
}

/// What `ring3 gen` writes.
#[derive(Subcommand, Debug)]
pub enum Generated {
    /// A module (Rust, for the library ring3) or header (C, for libbpf) on standard output
    Skeleton {
        /// A BPF object, as clang -target bpf -c writes it
        #[arg(value_name = "OBJ")]
        object: PathBuf,
        /// The language
        #[arg(long, value_enum, default_value_t = Language::Rust)]
        lang: Language,
        /// What types and functions are called after; the file's name up to the first dot
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
    },
}

/// Languages of skeletons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Language {
    /// For the library ring3; the object is to lie beside the file
    Rust,
    /// For libbpf, with the object in it and the functions of bpftool's skeletons
    C,
}

/// `ring3 link`.
#[derive(Args, Debug)]
#[command(after_help = LINK_EXAMPLES)]
pub struct LinkArgs {
    /// The object to be written
    #[arg(value_name = "OUT")]
    pub output: PathBuf,
    /// BPF objects, as clang -target bpf -c writes them
    #[arg(value_name = "IN", required = true)]
    pub inputs: Vec<PathBuf>,
}

/// `ring3 explain`.
#[derive(Args, Debug)]
#[command(after_help = EXPLAIN_EXAMPLES)]
pub struct ExplainArgs {
    /// A code, as R3-3001, 3001 or nullable-pointer
    #[arg(value_name = "CODE")]
    pub code: Option<Code>,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// `ring3 feature`.
#[derive(Args, Debug)]
#[command(after_help = FEATURE_EXAMPLES)]
pub struct FeatureArgs {
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// `ring3 run`.
#[derive(Args, Debug)]
#[command(after_help = RUN_EXAMPLES)]
#[command(
    override_usage = "ring3 run [OPTIONS] OBJ --packet HEX|--pcap FILE|--ctx FILE|--field NAME=VALUE|--event EVENT"
)]
#[command(group = ArgGroup::new("input").required(true).args(["packet", "pcap", "ctx", "field", "event"]))]
pub struct RunArgs {
    /// A BPF object
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// The program to run; may be left out if the object has only one
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// An Ethernet frame in hexadecimal digits; spaces and colons do not matter
    #[arg(long, value_name = "HEX")]
    pub packet: Option<String>,
    /// A capture of Ethernet frames (pcap or pcapng); the program runs once for each
    #[arg(long, value_name = "FILE")]
    pub pcap: Option<PathBuf>,
    /// The context's bytes, for types without a packet (tracepoint, kprobe, ...); what is missing is zero
    #[arg(long, value_name = "FILE")]
    pub ctx: Option<PathBuf>,
    /// A field of the context by its name in linux/bpf.h, for types without a packet; others are zero. Fields of the socket begin with
    /// sk., those of a setting are name, current and new; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub field: Vec<String>,
    /// Beside --field: the message, or the value of the socket option, in hexadecimal digits
    #[arg(long, value_name = "HEX", requires = "field")]
    pub data: Option<String>,
    /// An event that all programs run on that are attached there: where, arguments as PATH=VALUE, and behind @ the task and more; may be
    /// given several times
    #[arg(long, value_name = "EVENT", conflicts_with_all = ["program", "write_pcap", "perf", "check_states", "kind", "pin"])]
    pub event: Vec<String>,
    /// Show what comes through ring buffers and perf event arrays as this struct of the object's types
    #[arg(long, value_name = "STRUCT")]
    pub event_type: Option<String>,
    /// BTF of a kernel, as in /sys/kernel/btf/vmlinux, for objects with CO-RE relocations
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Set a global variable, or a part of one (`config.ports[1]=53`), before the program is loaded
    #[arg(long, value_name = "GLOBAL=VALUE")]
    pub set: Vec<String>,
    #[command(flatten)]
    pub kconfig: KconfigArgs,
    /// Put an element into a map before the first packet; into a program array, a program by its name
    #[arg(long, value_name = "NAME:KEY=VALUE")]
    pub map: Vec<String>,
    /// Keep maps that are pinned by name (LIBBPF_PIN_BY_NAME) in this folder: taken from there before the first packet, written behind
    /// the last
    #[arg(long, value_name = "FOLDER")]
    pub pin: Option<PathBuf>,
    /// What executes the program [default: jit on x86-64, else interp]
    #[arg(long, value_enum)]
    pub engine: Option<EngineArg>,
    /// Compare registers and stack with the verifier's states before every instruction, in the interpreter that checks each access
    #[arg(long, conflicts_with = "engine")]
    pub check_states: bool,
    #[command(flatten)]
    pub jit: JitArgs,
    /// End a run after about so many instructions, with an error
    #[arg(long, value_name = "N", conflicts_with = "check_states")]
    pub budget: Option<u64>,
    /// Name the machine code for perf, in /tmp/perf-PID.map; with =DIR as jit-PID.dump there, for 'perf inject --jit'
    #[arg(long, value_name = "DIR", num_args = 0..=1, require_equals = true)]
    pub perf: Option<Option<PathBuf>>,
    /// Run so many times on each packet, as BPF_PROG_TEST_RUN does: what changes adds up, the time is the average
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Write the packets that the program lets pass, as it left them, to a capture
    #[arg(long, value_name = "FILE")]
    pub write_pcap: Option<PathBuf>,
    /// Take the program to be of this type, whatever its section is called
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgType>,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// `ring3 dump`.
#[derive(Args, Debug)]
#[command(after_help = DUMP_EXAMPLES)]
pub struct DumpArgs {
    /// What to show
    #[arg(value_enum)]
    pub what: What,
    /// A BPF object; for btf also a raw BTF file
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Only this program
    #[arg(long, value_name = "NAME")]
    pub program: Option<String>,
    /// BTF of a kernel, as in /sys/kernel/btf/vmlinux: CO-RE relocations are for it
    #[arg(long, value_name = "FILE")]
    pub btf: Option<PathBuf>,
    /// Take programs to be of this type, whatever their sections are called
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgType>,
    /// The language of asm
    #[arg(long, value_enum, default_value_t = Dialect::Kernel)]
    pub dialect: Dialect,
    /// The machine of jited
    #[arg(long, value_enum, default_value_t = Machine::Host)]
    pub arch: Machine,
    #[command(flatten)]
    pub jit: JitArgs,
    /// How to write types: c is a header that clang compiles, as vmlinux.h
    #[arg(long, value_enum)]
    pub format: Option<BtfFormat>,
    /// The kernel's BTF, where the types of OBJ are those of a module and go on from it
    #[arg(short = 'B', long, value_name = "FILE")]
    pub base_btf: Option<PathBuf>,
    /// How to print; json is for maps and btf
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// What stands for a kernel's configuration.
#[derive(Args, Clone, Default, Debug)]
pub struct KconfigArgs {
    /// A value of the kernel's configuration, for objects that ask for it (__kconfig): CONFIG_HZ=250, or a file of them, such as
    /// /boot/config-RELEASE; may be given several times, the first counts
    #[arg(long, value_name = "NAME=VALUE")]
    pub kconfig: Vec<String>,
}

/// What is added to machine code, for programs whose authors are not trusted.
#[derive(Args, Clone, Copy, Default, Debug)]
pub struct JitArgs {
    /// Machine code without the constants of the program, which could be instructions themselves
    #[arg(long)]
    pub jit_blind: bool,
    /// Machine code whose indirect calls cannot be mispredicted (x86_64)
    #[arg(long)]
    pub jit_retpolines: bool,
}

impl JitArgs {
    /// None is given.
    pub fn is_empty(self) -> bool {
        !self.jit_blind && !self.jit_retpolines
    }
}

impl From<JitArgs> for ring3::jit::Options {
    fn from(args: JitArgs) -> ring3::jit::Options {
        ring3::jit::Options { blind: args.jit_blind, retpolines: args.jit_retpolines, ..Default::default() }
    }
}

/// How `dump btf` writes types.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum BtfFormat {
    /// A line for each type, as bpftool prints them
    Raw,
    /// C declarations in the order that C needs
    C,
    /// One object, as bpftool -j prints it
    Json,
}

/// A machine to emit code for.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Machine {
    /// That of this run
    Host,
    /// x86-64
    #[value(name = "x86_64")]
    X64,
    /// arm64
    Arm64,
}

impl From<Machine> for ring3::jit::Arch {
    fn from(machine: Machine) -> ring3::jit::Arch {
        match machine {
            Machine::Host => ring3::jit::Arch::HOST.unwrap_or(ring3::jit::Arch::X64),
            Machine::X64 => ring3::jit::Arch::X64,
            Machine::Arm64 => ring3::jit::Arch::Arm64,
        }
    }
}

/// `ring3 load`.
#[derive(Args, Debug)]
#[command(after_help = LOAD_EXAMPLES)]
pub struct LoadArgs {
    /// A BPF object
    #[arg(value_name = "OBJ")]
    pub object: PathBuf,
    /// Only this program, and what it needs; may be given several times
    #[arg(long, value_name = "NAME")]
    pub program: Vec<String>,
    /// Set a global variable, or a part of one (`config.ports[1]=53`), before it is loaded
    #[arg(long, value_name = "GLOBAL=VALUE")]
    pub set: Vec<String>,
    /// Take programs to be of this type, whatever their sections are called
    #[arg(long = "type", value_name = "TYPE", value_parser = program_type)]
    pub kind: Option<ProgType>,
    /// Leave CO-RE relocations to the kernel (since 5.17) in place of resolving them against its types here
    #[arg(long)]
    pub core_by_kernel: bool,
    /// Pin programs and maps in this folder of a BPF file system
    #[arg(long, value_name = "DIR")]
    pub pin: Option<PathBuf>,
    /// Attach a program: PROGRAM=eth0, PROGRAM=eth0:egress, PROGRAM=/sys/fs/cgroup/NAME, or PROGRAM alone if its section says
    /// where; may be given several times. It lasts as long as the command, or as the pins
    #[arg(long, value_name = "[PROGRAM=]PLACE")]
    pub attach: Vec<String>,
    /// Stay attached for so many seconds in place of until Ctrl-C
    #[arg(long, value_name = "SECONDS", requires = "attach", conflicts_with = "pin")]
    pub seconds: Option<u64>,
    /// How much the kernel is to log: 0 only why it rejects, 1 the way, 2 every state, 4 statistics
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=7))]
    pub log_level: u8,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// `ring3 parity`.
#[derive(Args, Debug)]
#[command(after_help = PARITY_EXAMPLES)]
pub struct ParityArgs {
    /// BPF objects
    #[arg(value_name = "OBJ", required = true)]
    pub objects: Vec<PathBuf>,
    /// Only programs of these names, separated by commas; * stands for any characters
    #[arg(long, value_name = "FILTER", value_delimiter = ',')]
    pub programs: Vec<String>,
    /// Run the programs, on the kernel (BPF_PROG_TEST_RUN) and on every engine, on given and generated inputs
    #[arg(long)]
    pub run: bool,
    /// A packet, or for types without one a context, in hexadecimal digits; may be given several times
    #[arg(long, value_name = "HEX", requires = "run")]
    pub data: Vec<String>,
    /// A capture whose packets are inputs
    #[arg(long, value_name = "FILE", requires = "run")]
    pub pcap: Vec<PathBuf>,
    /// How to print; json is one document
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Format::Table)]
    pub output: Format,
}

impl ParityArgs {
    /// Is this one of the programs that are asked for?
    pub fn selects(&self, name: &str) -> bool {
        self.programs.is_empty() || self.programs.iter().any(|pattern| matches(pattern, name))
    }
}

/// Does the name have the form of the pattern, in which `*` stands for any characters?
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = parts.next_back() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// In which language `ring3 dump asm` writes instructions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Dialect {
    /// The kernel's: r1 += r2
    Kernel,
    /// That of ubpf, rbpf and the public conformance suite: add %r1, %r2
    Mnemonic,
}

/// `ring3 filter`.
#[derive(Args, Debug)]
#[command(after_help = FILTER_EXAMPLES)]
#[command(group = ArgGroup::new("program").required(true).args(["bytecode", "ddd"]))]
#[command(group = ArgGroup::new("work").required(true).args(["capture", "syscall", "dump"]))]
pub struct FilterArgs {
    /// The filter in a file; - for standard input
    #[arg(long, value_name = "FILE")]
    pub bytecode: Option<PathBuf>,
    /// The filter in numbers, as iptables' --bytecode takes it
    #[arg(long, value_name = "CODE")]
    pub ddd: Option<String>,
    /// A capture (pcap or pcapng); the filter runs once for each packet
    #[arg(value_name = "CAPTURE", conflicts_with_all = ["seccomp", "dump"])]
    pub capture: Option<PathBuf>,
    /// Write the packets that are kept, as far as they are kept, to a capture
    #[arg(long, value_name = "FILE", requires = "capture")]
    pub write_pcap: Option<PathBuf>,
    /// The filter is one of seccomp
    #[arg(long)]
    pub seccomp: bool,
    /// A system call by name or number, or all that have a name; may be given several times
    #[arg(long, value_name = "CALL", requires = "seccomp", conflicts_with = "dump")]
    pub syscall: Vec<String>,
    /// The architecture of the system call [default: this one]
    #[arg(long, value_name = "ARCH", requires = "seccomp", value_parser = arch)]
    pub arch: Option<Arch>,
    /// An argument of the system call: 0 to 5, and a number; what is not given is 0
    #[arg(long, value_name = "N=VALUE", requires = "seccomp", value_parser = argument)]
    pub arg: Vec<(usize, u64)>,
    /// Where it is called from
    #[arg(long, value_name = "ADDRESS", requires = "seccomp", value_parser = number, default_value = "0")]
    pub instruction_pointer: u64,
    /// What executes the filter [default: jit on x86-64, else interp]
    #[arg(long, value_enum)]
    pub engine: Option<FilterEngine>,
    /// Do not run the filter, but show it
    #[arg(long, value_enum, value_name = "FORM")]
    pub dump: Option<FilterForm>,
    /// How to print
    #[arg(short = 'o', long = "output", value_enum, default_value_t = RunFormat::Table)]
    pub output: RunFormat,
}

/// What executes filters.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FilterEngine {
    /// The interpreter, after translation to eBPF
    Interp,
    /// Machine code, after translation to eBPF
    Jit,
    /// An interpreter of classic BPF itself
    Classic,
}

/// How `ring3 filter --dump` shows a filter.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum FilterForm {
    /// As tcpdump -d
    Listing,
    /// As tcpdump -ddd
    Ddd,
    /// The translation
    Ebpf,
}

/// What `ring3 dump` shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum What {
    /// Instructions as compiled and linked
    Asm,
    /// The same as a drawing of the control flow: dot -Tsvg makes a picture of it
    Cfg,
    /// Instructions as the engines see them
    Xlated,
    /// Machine code of this machine
    Jited,
    /// Definitions of maps
    Maps,
    /// Types, as bpftool btf dump prints them
    Btf,
    /// CO-RE relocations against the types of --btf: what they ask for, what was found, what was changed, as libbpf logs it
    Relos,
}

/// How `ring3 verify` prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum VerifyFormat {
    /// Aligned columns
    Table,
    /// What is wrong in the source, how it came to that, and what to do
    Text,
    /// Comma-separated values with a heading line
    Csv,
    /// A JSON object a line
    Json,
    /// SARIF 2.1.0, which code scanners take
    Sarif,
}

impl VerifyFormat {
    /// Whether rejections are explained.
    pub const fn explains(self) -> bool {
        match self {
            VerifyFormat::Text | VerifyFormat::Json | VerifyFormat::Sarif => true,
            VerifyFormat::Table | VerifyFormat::Csv => false,
        }
    }
}

/// How `ring3 parity` prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Format {
    /// Aligned columns
    Table,
    /// Comma-separated values with a heading line
    Csv,
    /// A JSON object a line
    Json,
}

/// How the other commands print.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum RunFormat {
    /// For people
    Table,
    /// A JSON object a line
    Json,
}

/// Engines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum EngineArg {
    /// The interpreter
    Interp,
    /// The interpreter that checks every access, which no verified program should need
    Checked,
    /// Machine code
    Jit,
    /// The running kernel, which needs root: nothing is attached, what is printed goes to its trace
    Kernel,
}

impl EngineArg {
    /// The library's name of it.
    pub fn backend(choice: Option<EngineArg>) -> Backend {
        match choice {
            None => Backend::best(),
            Some(EngineArg::Interp) => Backend::Interpreter,
            Some(EngineArg::Checked) => Backend::Checked,
            Some(EngineArg::Jit) => Backend::Jit,
            Some(EngineArg::Kernel) => Backend::Kernel,
        }
    }
}

fn program_type(text: &str) -> Result<ProgType, String> {
    ProgType::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = ProgType::ALL.iter().map(|kind| kind.name()).collect();
        format!("there is no such program type; the types are {}", names.join(", "))
    })
}

fn arch(text: &str) -> Result<Arch, String> {
    Arch::from_name(text).ok_or_else(|| {
        let names: Vec<&str> = Arch::ALL.iter().map(|arch| arch.name).collect();
        format!("there is no such architecture; there are {}", names.join(", "))
    })
}

/// A number in decimal, also negative, or in hexadecimal after `0x`.
pub fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if !digits.starts_with('+') => u64::from_str_radix(digits, 16).ok(),
        Some(_) => None,
        None => text.parse().ok().or_else(|| text.parse::<i64>().ok().map(i64::cast_unsigned)),
    };
    parsed.ok_or_else(|| "not a number of 64 bits".to_owned())
}

fn argument(text: &str) -> Result<(usize, u64), String> {
    let (index, value) = text.split_once('=').ok_or("not of the form N=VALUE")?;
    let index = index.trim().parse().ok().filter(|index| *index < 6);
    Ok((index.ok_or("arguments have the numbers 0 to 5")?, number(value.trim())?))
}

/// Releases to judge for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum KernelArg {
    /// This one.
    One(KernelVersion),
    /// Every release.
    All,
}

fn kernel(text: &str) -> Result<KernelArg, String> {
    if text == "all" {
        return Ok(KernelArg::All);
    }
    let version: KernelVersion = text.parse()?;
    if KernelVersion::RELEASES.contains(&version) {
        return Ok(KernelArg::One(version));
    }
    let [first, .., last] = KernelVersion::RELEASES else { return Err("no release is known".to_owned()) };
    Err(format!("Linux {version} is not known, only {first} to {last} are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_names() {
        let matching = ["abc", "*", "a*", "*c", "a*c", "*b*", "a*b*c", "abc*"];
        assert!(matching.iter().all(|pattern| matches(pattern, "abc")));
        let others = ["", "ab", "b*", "*b", "abc*c", "a*bb*c", "abcd", "*a*a*"];
        assert!(others.iter().all(|pattern| !matches(pattern, "abc")));
    }
}
