//! Zip archives without compression, as fuzzing services take seed corpora.

/// The CRC-32 of zip (IEEE 802.3).
fn crc32(data: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    };
    !data.iter().fold(u32::MAX, step)
}

/// A name for an input: the same for the same bytes (FNV-1a).
pub fn name_of(data: &[u8]) -> String {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    format!("{:016x}", data.iter().fold(0xcbf2_9ce4_8422_2325, step))
}

/// Fields that a file has both in front of its bytes and in the directory.
fn common(name: &str, data: &[u8]) -> Vec<u8> {
    let size = (data.len() as u32).to_le_bytes();
    // Version 1.0, no flags, stored, the first of January 1980.
    let mut out = vec![10, 0, 0, 0, 0, 0, 0, 0, 0x21, 0];
    out.extend(crc32(data).to_le_bytes());
    out.extend(size);
    out.extend(size);
    out.extend((name.len() as u16).to_le_bytes());
    out.extend([0, 0]);
    out
}

/// An archive of these files; at most 65,535 of them, and 4 GiB together.
pub fn zip(files: &[(String, &[u8])]) -> Vec<u8> {
    let (mut out, mut directory) = (Vec::new(), Vec::new());
    let files = &files[..files.len().min(usize::from(u16::MAX))];
    for (name, data) in files {
        let at = out.len() as u32;
        out.extend(b"PK\x03\x04");
        out.extend(common(name, data));
        out.extend(name.as_bytes());
        out.extend(*data);
        directory.extend(b"PK\x01\x02\x0a\x00");
        directory.extend(common(name, data));
        directory.extend([0; 10]);
        directory.extend(at.to_le_bytes());
        directory.extend(name.as_bytes());
    }
    let (count, start) = ((files.len() as u16).to_le_bytes(), (out.len() as u32).to_le_bytes());
    let size = (directory.len() as u32).to_le_bytes();
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend([count, count].concat());
    out.extend([size, start].concat());
    out.extend([0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn an_archive_has_its_files() {
        let out = zip(&[("a".into(), b"xyz".as_slice()), ("b".into(), b"".as_slice())]);
        assert_eq!(&out[..4], b"PK\x03\x04");
        assert_eq!(out.len(), 2 * (30 + 1) + 3 + 2 * (46 + 1) + 22);
        assert_eq!(out[out.len() - 22 + 10], 2);
    }
}
