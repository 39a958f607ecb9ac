//! The archive that a kernel unpacks before it starts its first process: "newc", as in cpio(5) and
//! `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::io::{self, Write};

/// What an entry is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Entry<'a> {
    /// A folder.
    Folder,
    /// A file of these bytes; is it a program?
    File(&'a [u8], bool),
    /// A character device of these numbers.
    Device(u32, u32),
}

/// Writes an archive.
#[derive(Debug)]
pub struct Archive<W: Write> {
    to: W,
    written: u64,
    inode: u32,
}

/// Name of the entry that ends an archive.
const END: &str = "TRAILER!!!";
const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;
const DEVICE: u32 = 0o020_600;

impl<W: Write> Archive<W> {
    /// Begins one.
    pub fn new(to: W) -> Archive<W> {
        Archive { to, written: 0, inode: 0 }
    }

    /// Adds an entry; folders come before what is in them, names have no slash in front.
    ///
    /// Errors: those of writing, and files of 4 GiB and more.
    pub fn add(&mut self, name: &str, entry: Entry<'_>) -> io::Result<()> {
        match entry {
            Entry::Folder => self.put(name, FOLDER, (0, 0), &[]),
            Entry::File(bytes, false) => self.put(name, FILE, (0, 0), bytes),
            Entry::File(bytes, true) => self.put(name, PROGRAM, (0, 0), bytes),
            Entry::Device(major, minor) => self.put(name, DEVICE, (major, minor), &[]),
        }
    }

    /// Ends it, and gives back what it was written to.
    ///
    /// Errors: those of writing.
    pub fn finish(mut self) -> io::Result<W> {
        self.put(END, 0, (0, 0), &[])?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn put(&mut self, name: &str, mode: u32, device: (u32, u32), bytes: &[u8]) -> io::Result<()> {
        let too_large = |_| io::Error::new(io::ErrorKind::InvalidInput, "too large for the archive");
        let size = u32::try_from(bytes.len()).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        self.inode += 1;
        let links = if mode == FOLDER { 2 } else { 1 };
        // Inode, mode, user, group, links, time, size, device of the file system, device, length of the name, check sum.
        let fields = [self.inode, mode, 0, 0, links, 0, size, 0, 0, device.0, device.1, name_size, 0];
        let mut head = String::from("070701");
        for field in fields {
            head.push_str(&format!("{field:08X}"));
        }
        self.raw(head.as_bytes())?;
        self.raw(name.as_bytes())?;
        self.raw(&[0])?;
        self.align()?;
        self.raw(bytes)?;
        self.align()
    }

    fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.written += bytes.len() as u64;
        self.to.write_all(bytes)
    }

    /// Heads and contents begin at multiples of four.
    fn align(&mut self) -> io::Result<()> {
        let rest = usize::try_from(self.written % 4).unwrap_or(0);
        if rest == 0 { Ok(()) } else { self.raw(&[0; 3][..4 - rest]) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_has_heads_names_and_contents_at_multiples_of_four() {
        let mut archive = Archive::new(Vec::new());
        archive.add("dev", Entry::Folder).unwrap();
        archive.add("dev/console", Entry::Device(5, 1)).unwrap();
        archive.add("init", Entry::File(b"abcde", true)).unwrap();
        let bytes = archive.finish().unwrap();
        let heads: Vec<usize> = (0..bytes.len() - 5).filter(|at| bytes[*at..].starts_with(b"070701")).collect();
        assert_eq!(heads.len(), 4);
        assert!(heads.iter().all(|at| at % 4 == 0) && bytes.len().is_multiple_of(4));
        let field = |head: usize, at: usize| std::str::from_utf8(&bytes[head + 6 + 8 * at..][..8]).unwrap().to_owned();
        assert_eq!(field(heads[0], 1), "000041ED");
        assert_eq!((field(heads[1], 9), field(heads[1], 10)), ("00000005".to_owned(), "00000001".to_owned()));
        assert_eq!((field(heads[2], 6), field(heads[2], 11)), ("00000005".to_owned(), "00000005".to_owned()));
        let content = heads[2] + 110 + 5;
        assert_eq!(&bytes[content.next_multiple_of(4)..][..5], b"abcde");
    }
}
