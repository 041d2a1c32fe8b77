//! The layers' programs, started on a stage.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use super::{LAYERS, Service, Stage, ports};
use crate::Error;

impl Stage {
    /// Starts a replica of a layer, with settings on top of the stage's own. It is killed when it is dropped.
    pub fn start(&self, layer: &'static str, settings: &[(&str, &str)]) -> Result<Service, Error> {
        self.start_from(&this_release()?, layer, settings)
    }

    /// The same of another release, whose programs lie in a directory.
    pub fn start_from(&self, release: &Path, layer: &'static str, settings: &[(&str, &str)]) -> Result<Service, Error> {
        let mut environment = self.environment(layer);
        environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        spawn(layer, told(release, layer, environment))
    }

    /// Starts a replica of a layer that is told this and no more.
    pub fn start_with(&self, layer: &'static str, environment: BTreeMap<String, String>) -> Result<Service, Error> {
        spawn(layer, told(&this_release()?, layer, environment))
    }

    /// As [`Stage::start`] does, with all that the process says in a file instead of the terminal.
    pub fn start_into(&self, log: File, layer: &'static str, settings: &[(&str, &str)]) -> Result<Service, Error> {
        let mut command = self.command(layer, settings)?;
        command.stdout(log.try_clone()?).stderr(log);
        spawn(layer, command)
    }

    /// A layer's program as [`Stage::start`] would start it, for what is not a running service.
    pub fn command(&self, layer: &str, settings: &[(&str, &str)]) -> Result<Command, Error> {
        let mut command = told(&this_release()?, layer, self.environment(layer));
        command.envs(settings.iter().copied());
        Ok(command)
    }

    /// Makes a layer's tables before it runs.
    pub async fn migrate(&self, layer: &str) -> Result<(), Error> {
        let migrated = self.command(layer, &[])?.arg("migrate").status().await?;
        if migrated.success() { Ok(()) } else { Err(io::Error::other(format!("{layer} migrate: {migrated}")).into()) }
    }
}

/// Where the layers' programs lie that were built together with this one: beside it, or a directory above a test.
pub fn this_release() -> io::Result<PathBuf> {
    let own = std::env::current_exe()?;
    let is_complete = |directory: &&Path| LAYERS.iter().all(|layer| program(directory, layer).is_file());
    own.ancestors()
        .skip(1)
        .take(2)
        .find(is_complete)
        .map(Path::to_owned)
        .ok_or_else(|| io::Error::other("the layers' programs are not built: cargo build --workspace makes them"))
}

fn program(release: &Path, layer: &str) -> PathBuf {
    release.join(format!("ordervault-{layer}"))
}

/// A layer's program that knows this environment and no other.
fn told(release: &Path, layer: &str, environment: BTreeMap<String, String>) -> Command {
    let mut command = Command::new(program(release, layer));
    command.env_clear().envs(environment);
    command
}

/// Starts a layer's program on a port of its own.
fn spawn(layer: &'static str, mut command: Command) -> Result<Service, Error> {
    let port = ports::free()?;
    command.env("HTTP_ADDR", format!("127.0.0.1:{port}")).stdin(Stdio::null()).kill_on_drop(true);
    Ok(Service::new(layer, port, command.spawn()?))
}
