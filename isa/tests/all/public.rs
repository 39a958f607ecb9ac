//! Every file of the public conformance suite (github.com/Alan-Jowett/bpf_conformance) assembles, and where one has bytes
//! beside the text, to these bytes. The suite lies where the environment variable `RING3_PUBLIC_SUITE` says.

use std::path::{Path, PathBuf};

use ring3_isa::{Code, Dialect, Endianness, NoNames, assemble};

/// The parts of a file by the word after `--`.
fn part(text: &str, wanted: &str) -> Option<String> {
    let mut lines = None::<Vec<&str>>;
    for line in text.lines() {
        match line.strip_prefix("-- ") {
            Some(name) if name.trim() == wanted => lines = Some(Vec::new()),
            Some(_) if lines.is_some() => break,
            Some(_) => {}
            None => lines.iter_mut().for_each(|lines| lines.push(line)),
        }
    }
    lines.map(|lines| lines.join("\n"))
}

/// Each number is a slot, as it would be read from eight bytes in little-endian order.
fn raw(text: &str) -> Code {
    let words = text.lines().map(|line| line.split('#').next().unwrap()).flat_map(str::split_whitespace);
    let number = |word: &str| match word.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).unwrap(),
        None => word.parse().unwrap(),
    };
    let bytes: Vec<u8> = words.flat_map(|word| number(word).to_le_bytes()).collect();
    Code::from_bytes(&bytes, Endianness::Little).unwrap()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "data"));
    files.sort();
    files
}

fn listing(code: &Code, dialect: Dialect) -> String {
    let lines = (0..code.len()).filter_map(|slot| Some(code.text(slot, &NoNames)?.in_dialect(dialect).to_string()));
    lines.collect::<Vec<String>>().join("\n")
}

#[test]
fn every_file_assembles() {
    let Ok(suite) = std::env::var("RING3_PUBLIC_SUITE") else {
        println!("skipped: RING3_PUBLIC_SUITE is not set");
        return;
    };
    let (mut assembled, mut compared, mut bad) = (0, 0, Vec::new());
    for file in files(&Path::new(&suite).join("tests")) {
        let text = std::fs::read_to_string(&file).unwrap().replace('\r', "");
        let bytes = part(&text, "raw").map(|text| raw(&text));
        let Some(asm) = part(&text, "asm") else { continue };
        match assemble(&asm) {
            Ok(code) => {
                assembled += 1;
                for dialect in Dialect::ALL {
                    assert_eq!(assemble(&listing(&code, *dialect)), Ok(code.clone()), "{}", file.display());
                }
                if let Some(bytes) = bytes {
                    compared += 1;
                    assert_eq!(
                        listing(&code, Dialect::Mnemonic),
                        listing(&bytes, Dialect::Mnemonic),
                        "{}",
                        file.display()
                    );
                }
            }
            Err(error) => bad.push(format!("{}: {error}", file.display())),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    println!("{assembled} files assembled, {compared} compared with their bytes");
    assert!(assembled > 300);
}

/// Files whose text is wrong on purpose, and what we say of it. The others in `negative` are wrong in what they expect,
/// and their text assembles.
#[test]
fn what_is_wrong_on_purpose() {
    let Ok(suite) = std::env::var("RING3_PUBLIC_SUITE") else {
        println!("skipped: RING3_PUBLIC_SUITE is not set");
        return;
    };
    let mut complaints = String::new();
    for file in files(&Path::new(&suite).join("negative")) {
        let text = std::fs::read_to_string(&file).unwrap().replace('\r', "");
        let Some(asm) = part(&text, "asm") else { continue };
        if let Err(error) = assemble(&asm) {
            complaints += &format!("{}: {error}\n", file.file_stem().unwrap().display());
        }
    }
    let expected = "\
        invalid_imm32_dec_range: line 2, column 12: 2147483648 does not fit a 32-bit immediate
        invalid_imm32_hex_range: line 2, column 12: 0x100000000 does not fit a 32-bit immediate
        invalid_label: line 1, column 4: unknown label 'NOT_A_LABEL'
        invalid_lock: line 1, column 17: expected ,
        invalid_lock2: line 1, column 5: expected an atomic operation
        invalid_mnemonic: line 2, column 1: no instruction 'ldxq'; did you mean 'ldxb'?
        invalid_offset: line 1, column 11: expected [
        invalid_offset_range: line 2, column 15: +0x10000 does not fit a 16-bit offset
        invalid_operand_count: line 1, column 9: expected ,
        invalid_register: line 1, column 10: no register 'r50'
";
    assert_eq!(complaints, expected.replace("        ", ""));
}
