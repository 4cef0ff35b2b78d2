//! What the watch over the feed has found, told as it is found.

use crate::notify::Notice;
use crate::store::{Store, StoreError};

/// Told at once, at most.
const NOTICES: u32 = 50;

/// Reads notices along.
pub(super) struct News {
    store: Store,
    /// The number of the last notice that was read.
    last: i64,
    pub alerts_opened: u64,
    pub alerts_resolved: u64,
    pub drift_alarms: u64,
}

impl News {
    /// Begins after what stands there already.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub(super) async fn new(store: Store) -> Result<Self, StoreError> {
        Ok(Self {
            last: store.last_notice().await?,
            store,
            alerts_opened: 0,
            alerts_resolved: 0,
            drift_alarms: 0,
        })
    }

    /// What is new, a sentence each. Updates of alerts are left out.
    ///
    /// # Errors
    ///
    /// The database does not answer.
    pub(super) async fn poll(&mut self) -> Result<Vec<String>, StoreError> {
        let mut told = Vec::new();
        for due in self.store.notices_after(self.last, NOTICES).await? {
            self.last = due.number;
            let Ok(notice) = Notice::of(&due) else {
                continue;
            };
            match (&notice, notice.status()) {
                (Notice::Alert(_), "opened") => self.alerts_opened += 1,
                (Notice::Alert(_), "resolved") => self.alerts_resolved += 1,
                (Notice::Alert(_), _) => continue,
                (Notice::Drift(_), "opened") => self.drift_alarms += 1,
                (Notice::Drift(_) | Notice::Model(_), _) => {}
            }
            told.push(notice.sentence());
        }
        Ok(told)
    }
}
