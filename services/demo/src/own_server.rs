//! A server of a test's own, which it may stop without a thought for the others.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::process::Command;

/// One of PostgreSQL, Redis and Kafka, started for its owner alone; it is killed, and its data removed, when it is dropped.
pub struct OwnServer {
    directory: PathBuf,
    name: &'static str,
}

impl OwnServer {
    /// Starts one of `postgres`, `redis` and `kafka`; `settings` are for its first start.
    pub fn start(name: &'static str, settings: &[(&str, String)]) -> io::Result<Self> {
        let unique = format!("ordervault-{name}-{}-{}", std::process::id(), fastrand::u32(..));
        let server = Self { directory: std::env::temp_dir().join(unique), name };
        server.run("start", settings)?;
        Ok(server)
    }

    /// Has it `start` again, `stop` or be killed (`kill`). The tool returns when it is done, and until then this thread
    /// does nothing else.
    pub fn verb(&self, verb: &'static str) -> io::Result<()> {
        tokio::task::block_in_place(|| self.run(verb, &[]))
    }

    /// The process's environment with this server in the place of the shared one; `prefix` is that of its variables.
    pub fn environment(&self, prefix: &str) -> io::Result<BTreeMap<String, String>> {
        let mut environment: BTreeMap<String, String> = std::env::vars().collect();
        let own = std::fs::read_to_string(self.directory.join("env"))?;
        let own = own.lines().filter_map(|line| line.split_once('=')).filter(|(name, _)| name.starts_with(prefix));
        environment.extend(own.map(|(name, value)| (name.to_owned(), value.to_owned())));
        Ok(environment)
    }

    fn run(&self, verb: &str, settings: &[(&str, String)]) -> io::Result<()> {
        let tool = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tools/servers");
        let mut command = Command::new(tool);
        command.arg(verb).arg(&self.directory).arg(self.name).envs(settings.iter().map(|(name, value)| (name, value)));
        let output = command.output()?;
        if output.status.success() {
            return Ok(());
        }
        Err(io::Error::other(format!("{verb} {}: {}", self.name, String::from_utf8_lossy(&output.stderr))))
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        let gone = self.run("kill", &[]).and_then(|()| std::fs::remove_dir_all(&self.directory));
        if let Err(error) = gone {
            eprintln!("{} is left in {}: {error}", self.name, self.directory.display());
        }
    }
}
