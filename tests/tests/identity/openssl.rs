//! Certificates as people make them: by openssl.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A folder of files that openssl makes.
pub(crate) struct OpenSsl(PathBuf);

impl OpenSsl {
    pub(crate) fn at(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    /// `NAME.key` and `NAME.crt`: a self-signed certificate; `key` is what `-newkey` takes.
    pub(crate) fn certificate(&self, name: &str, key: &[&str]) {
        let (file, crt, subject) = (format!("{name}.key"), format!("{name}.crt"), format!("/CN={name}"));
        let mut line = vec![
            "req", "-x509", "-nodes", "-days", "2", "-subj", &subject, "-keyout", &file, "-out", &crt,
        ];
        line.push("-newkey");
        line.extend(key);
        self.run(&line);
    }

    /// The certificate of `NAME.crt`, as Entra registers it.
    pub(crate) fn der(&self, name: &str) -> Vec<u8> {
        let (crt, der) = (format!("{name}.crt"), format!("{name}.der"));
        self.run(&["x509", "-in", &crt, "-outform", "DER", "-out", &der]);
        std::fs::read(self.0.join(der)).unwrap()
    }

    /// Puts `NAME.key` and `NAME.crt` into one PEM file.
    pub(crate) fn pem(&self, name: &str, file: &str) {
        let read = |extension: &str| std::fs::read_to_string(self.0.join(format!("{name}.{extension}"))).unwrap();
        std::fs::write(self.0.join(file), read("key") + &read("crt")).unwrap();
    }

    /// The same with the key encrypted (PKCS#8).
    pub(crate) fn encrypted_pem(&self, name: &str, file: &str, password: &str) {
        let (key, encrypted) = (format!("{name}.key"), format!("{name}.encrypted"));
        let pass = format!("pass:{password}");
        self.run(&[
            "pkcs8",
            "-topk8",
            "-in",
            &key,
            "-v2",
            "aes-256-cbc",
            "-passout",
            &pass,
            "-out",
            &encrypted,
        ]);
        let read = |file: &str| std::fs::read_to_string(self.0.join(file)).unwrap();
        std::fs::write(self.0.join(file), read(&format!("{name}.crt")) + &read(&encrypted)).unwrap();
    }

    /// A PFX of `NAME.key` and `NAME.crt`.
    pub(crate) fn pfx(&self, name: &str, file: &str, password: &str, options: &[&str]) {
        let (key, crt, pass) = (format!("{name}.key"), format!("{name}.crt"), format!("pass:{password}"));
        let mut line = vec![
            "pkcs12", "-export", "-inkey", &key, "-in", &crt, "-passout", &pass, "-out", file,
        ];
        line.extend(options);
        self.run(&line);
    }

    fn run(&self, line: &[&str]) {
        let output = Command::new("openssl").args(line).current_dir(&self.0).output();
        let output = output.expect("openssl is there; install it: apt-get install openssl");
        assert!(
            output.status.success(),
            "openssl {}: {}",
            line.join(" "),
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
