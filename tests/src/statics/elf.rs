//! What the headers of a program say (elf(5)).

use anyhow::{Context, ensure};

/// Whether an ELF program names neither an interpreter nor a shared library.
pub(super) fn is_static(program: &[u8]) -> anyhow::Result<bool> {
    const INTERPRETER: u64 = 3;
    const DYNAMIC: u64 = 2;
    const NEEDED: u64 = 1;
    ensure!(
        program.starts_with(b"\x7fELF\x02\x01"),
        "not a 64-bit little-endian ELF program"
    );
    let number = |at: u64, length: usize| -> anyhow::Result<u64> {
        let at = usize::try_from(at)?;
        let bytes = program
            .get(at..at.saturating_add(length))
            .context("the program ends in the middle")?;
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |number, byte| number << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8)?, number(54, 2)?, number(56, 2)?);
    for header in (0..count).map(|index| table + index * size) {
        match number(header, 4)? {
            INTERPRETER => return Ok(false),
            DYNAMIC => {
                let (offset, length) = (number(header + 8, 8)?, number(header + 32, 8)?);
                for entry in (offset..offset + length).step_by(16) {
                    if number(entry, 8)? == NEEDED {
                        return Ok(false);
                    }
                }
            }
            _ => {}
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_of_the_system_is_not_static_and_text_is_no_program() {
        let ourselves = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(
            !is_static(&ourselves).unwrap(),
            "tests are linked to the system's libraries"
        );
        assert!(is_static(b"#!/bin/sh").is_err());
        assert!(is_static(&ourselves[..60]).is_err());
    }

    #[test]
    fn headers_without_interpreter_and_library_are_those_of_a_static_program() {
        // A header, then a table of one entry that is neither.
        let mut program = [0_u8; 64 + 56];
        program[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (program[32], program[54], program[56]) = (64, 56, 1);
        for (kind, expected) in [(1, true), (3, false)] {
            program[64] = kind;
            assert_eq!(is_static(&program).unwrap(), expected, "segment of type {kind}");
        }
    }
}
