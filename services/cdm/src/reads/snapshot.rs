//! A snapshot of PostgreSQL: which transactions had come to their end when something was read.

use std::fmt;
use std::str::FromStr;

/// Transactions below `lowest` had ended, and so had those below `next` that are not among `running`. What is written by
/// any other was not seen, whenever that one began and however late it commits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The lowest that was still running.
    pub lowest: u64,
    next: u64,
    running: Vec<u64>,
}

impl FromStr for Snapshot {
    type Err = ();

    /// Reads `pg_snapshot`'s own form, and refuses all that PostgreSQL would.
    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split(':');
        let (Some(lowest), Some(next), Some(running), None) = (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let number = |digits: &str| match digits.parse::<u64>() {
            Ok(number) if number > 0 && i64::try_from(number).is_ok() && number.to_string() == digits => Ok(number),
            _ => Err(()),
        };
        let (lowest, next) = (number(lowest)?, number(next)?);
        let running: Vec<u64> = match running {
            "" => Vec::new(),
            list => list.split(',').map(number).collect::<Result<_, ()>>()?,
        };
        let within = running.iter().all(|one| (lowest..next).contains(one));
        let fits = lowest <= next && within && running.is_sorted_by(|one, other| one < other);
        fits.then_some(Self { lowest, next, running }).ok_or(())
    }
}

impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:", self.lowest, self.next)?;
        for (place, one) in self.running.iter().enumerate() {
            write!(f, "{}{one}", if place == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_postgresql_would_take_is_a_snapshot() {
        for good in ["7:7:", "7:9:7,8", "7:9:8"] {
            assert_eq!(good.parse::<Snapshot>().unwrap().to_string(), good);
        }
        for bad in
            ["", "7", "7:7", "7:7:7", "9:7:", "0:7:", "7:9:8,7", "7:9:7,7", "7:9:6", "07:9:", "7:9::", "-7:9:", "x:9:"]
        {
            assert!(bad.parse::<Snapshot>().is_err(), "{bad}");
        }
    }
}
