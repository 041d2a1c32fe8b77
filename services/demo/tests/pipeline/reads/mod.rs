//! The counters over REST, against plain SQL on the same tables: pages, files, changes, freshness.

mod scene;
mod paging;
mod selecting;
mod formats;
mod streaming;
mod changes;
mod unchanged;
mod own_writes;
mod hostile;
mod segments;
mod analysts;
mod recipes;
