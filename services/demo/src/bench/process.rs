//! What the operating system says of a process.

use std::fs;
use std::time::Duration;

use crate::Error;

/// Clock ticks in a second, as Linux counts processor time for every program.
const TICKS_A_SECOND: f64 = 100.0;

/// The most memory that the process ever held, in MiB.
pub fn peak_resident_mib(process: u32) -> Result<f64, Error> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = peak.and_then(|held| held.split_whitespace().next()).and_then(|kib| kib.parse::<f64>().ok());
    Ok(kib.unwrap_or(f64::NAN) / 1024.0)
}

/// The processor time that the process has used so far.
pub fn processor_time(process: u32) -> Result<Duration, Error> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The name, in brackets, may hold spaces; the 14th and 15th fields are the times in user and kernel mode.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum();
    Ok(Duration::from_secs_f64(ticks / TICKS_A_SECOND))
}
