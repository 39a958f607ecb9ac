//! Contexts by the names of their fields: `--field user_ip4=10.0.0.1`, `--field sk.protocol=6`, and what a program changed of them.

use ring3::btf::TypeId;
use ring3::platform::{CtxLayout, Yields, ctx};
use ring3::{Input, ProgType};

use crate::error::CliError;

/// What comes before a number in the order of the network.
const BIG_ENDIAN: &str = "be:";
/// What comes before the name of a field of the socket.
const SOCKET: &str = "sk.";

/// A context, and what its addresses lead to.
#[derive(Debug, Default)]
pub struct Fields {
    kind: Option<ProgType>,
    context: Vec<u8>,
    socket: Vec<u8>,
    name: String,
    current: Vec<u8>,
    new: Option<Vec<u8>>,
}

impl Fields {
    /// The context of a program of this type by fields, a `NAME=VALUE` each.
    ///
    /// Errors: a name that the context does not have, or a value that it cannot have.
    pub fn of(kind: ProgType, given: &[String]) -> Result<Fields, CliError> {
        let mut fields = Fields { kind: Some(kind), ..Fields::default() };
        for text in given {
            let wrong = |why: String| CliError::Input(format!("--field {text}: {why}"));
            let (name, value) = text.split_once('=').ok_or_else(|| wrong("not NAME=VALUE".to_owned()))?;
            match (kind, name) {
                (ProgType::CgroupSysctl, "name") => fields.name = value.to_owned(),
                (ProgType::CgroupSysctl, "current") => fields.current = value.as_bytes().to_vec(),
                (ProgType::CgroupSysctl, "new") => {
                    fields.new = Some(value.as_bytes().to_vec());
                    put(ctx::layout(kind), &mut fields.context, "write", "1").map_err(wrong)?;
                }
                _ => match name.strip_prefix(SOCKET) {
                    Some(name) => put(Some(ctx::socket()), &mut fields.socket, name, value).map_err(wrong)?,
                    None => put(ctx::layout(kind), &mut fields.context, name, value).map_err(wrong)?,
                },
            }
        }
        Ok(fields)
    }

    /// As the input of a run, with these bytes as the data.
    pub fn input<'a>(&'a self, data: &'a [u8]) -> Input<'a> {
        let context = &self.context;
        match self.kind {
            Some(ProgType::CgroupSysctl) => {
                Input::Setting { context, name: &self.name, current: &self.current, new: self.new.as_deref() }
            }
            Some(kind) if ring3::vm::PartsContext::new(kind).is_some() => {
                Input::Parts { context, data, socket: &self.socket }
            }
            Some(_) | None => Input::Context(context),
        }
    }

    /// What comes in beside the context: the data, or of a setting the value to be written.
    pub fn data<'a>(&'a self, data: &'a [u8]) -> &'a [u8] {
        if self.kind == Some(ProgType::CgroupSysctl) { self.new.as_deref().unwrap_or_default() } else { data }
    }

    /// The fields that are something else in this image of the context, in hexadecimal digits before and after.
    pub fn changes(&self, after: &[u8]) -> Vec<(&'static str, String, String)> {
        let Some(layout) = self.kind.and_then(ctx::layout).filter(|layout| !layout.identity) else { return Vec::new() };
        let mut all: Vec<(&'static str, String, String)> = Vec::new();
        for field in layout.fields.iter().filter(|field| matches!(field.yields, Yields::Scalar)) {
            let bytes = |image: &[u8]| -> Vec<u8> {
                (field.off..field.off + field.size).map(|at| image.get(usize::from(at)).copied().unwrap_or(0)).collect()
            };
            let (old, new) = (bytes(&self.context), bytes(after));
            // Several rows may describe one field, for different programs.
            if old != new && !after.is_empty() && all.last().is_none_or(|(name, ..)| *name != field.name) {
                all.push((field.name, text(&old), text(&new)));
            }
        }
        all
    }
}

/// A number where it is one, else the bytes.
fn text(bytes: &[u8]) -> String {
    match bytes.len() {
        1..=8 => format!("{:#x}", bytes.iter().rev().fold(0u64, |word, byte| word << 8 | u64::from(*byte))),
        _ => bytes.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// Sets a field in an image of a structure, which grows as far as it must.
fn put(layout: Option<&'static CtxLayout>, image: &mut Vec<u8>, name: &str, value: &str) -> Result<(), String> {
    let layout = layout.ok_or_else(|| "the context has no fields of its own".to_owned())?;
    let (bare, index) = match name.split_once('[') {
        Some((bare, index)) => {
            let index = index.strip_suffix(']').and_then(|index| index.parse::<usize>().ok());
            (bare, Some(index.ok_or_else(|| format!("'{name}' is no element"))?))
        }
        None => (name, None),
    };
    let numbers = || layout.fields.iter().filter(|field| matches!(field.yields, Yields::Scalar));
    let Some(field) = numbers().find(|field| field.name == bare) else {
        let mut names: Vec<&str> = numbers().map(|field| field.name).collect();
        names.dedup();
        return Err(format!("{} has no number '{bare}', but {}", layout.name, names.join(", ")));
    };
    let (mut at, mut size) = (usize::from(field.off), usize::from(field.size));
    if let Some(index) = index {
        // Elements of arrays are words.
        if (index + 1) * 4 > size {
            return Err(format!("'{bare}' has {} elements", size / 4));
        }
        (at, size) = (at + 4 * index, 4);
    }
    let bytes = number(value, size)?;
    if image.len() < at + size {
        image.resize(at + size, 0);
    }
    image[at..at + size].copy_from_slice(&bytes);
    Ok(())
}

/// The bytes of a value.
fn number(value: &str, size: usize) -> Result<Vec<u8>, String> {
    if size == 16
        && let Ok(address) = value.parse::<std::net::Ipv6Addr>()
    {
        return Ok(address.octets().to_vec());
    }
    // A port has two bytes, which are the first of the four.
    if let Some(value) = value.strip_prefix(BIG_ENDIAN) {
        let number: u32 = value.parse().map_err(|_| format!("'{value}' is no number"))?;
        let mut bytes = match u16::try_from(number) {
            Ok(port) => port.to_be_bytes().to_vec(),
            Err(_) => number.to_be_bytes().to_vec(),
        };
        bytes.resize(size, 0);
        return Ok(bytes);
    }
    ring3::text::parse(None, TypeId::VOID, size, value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: ProgType, given: &[&str]) -> Result<Fields, String> {
        let given: Vec<String> = given.iter().map(|text| (*text).to_owned()).collect();
        Fields::of(kind, &given).map_err(|error| error.to_string())
    }

    #[test]
    fn fields_are_set_by_name_and_changes_are_told() {
        let fields = of(
            ProgType::CgroupSockAddr,
            &["user_ip4=10.0.0.1", "user_port=be:80", "sk.protocol=6", "user_ip6[1]=0x11223344", "family=2"],
        );
        let fields = fields.unwrap();
        assert_eq!(fields.context[4..8], [10, 0, 0, 1]);
        assert_eq!(fields.context[12..16], [0x44, 0x33, 0x22, 0x11]);
        assert_eq!((&fields.context[24..28], fields.context.len()), (&[0, 80, 0, 0][..], 32));
        assert_eq!(fields.socket, [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0]);
        let mut after = fields.context.clone();
        after[4] = 127;
        assert_eq!(fields.changes(&after), [("user_ip4", "0x100000a".to_owned(), "0x100007f".to_owned())]);
        assert!(matches!(fields.input(&[1]), Input::Parts { data: [1], .. }));
    }

    #[test]
    fn what_there_is_not_is_refused_by_name() {
        let errors = [
            (ProgType::CgroupSockopt, "opt=1", "bpf_sockopt has no number 'opt', but level, optname, optlen, retval"),
            (ProgType::CgroupSockopt, "level", "not NAME=VALUE"),
            (ProgType::CgroupSockopt, "level=x", "'x'"),
            (ProgType::CgroupSockAddr, "user_ip6[4]=1", "'user_ip6' has 4 elements"),
            (ProgType::CgroupSockAddr, "user_ip6[x]=1", "is no element"),
            (ProgType::CgroupSockAddr, "sk.nothing=1", "bpf_sock has no number 'nothing'"),
            (ProgType::Tracing, "a=1", "the context has no fields of its own"),
        ];
        for (kind, field, message) in errors {
            let error = of(kind, &[field]).unwrap_err();
            assert!(error.contains(message), "{field}: {error}");
        }
        let setting = of(ProgType::CgroupSysctl, &["name=kernel/x", "new=5"]).unwrap();
        assert!(matches!(
            setting.input(&[]),
            Input::Setting { name: "kernel/x", new: Some(b"5"), context: [1, 0, 0, 0], .. }
        ));
        assert_eq!(setting.data(&[]), b"5");
    }
}
