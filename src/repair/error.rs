//! Why nothing could be repaired.

use crate::store::StoreError;
use crate::verify::VerifyError;

/// What kept a repair from coming to an end. What was written until then is right, and doing it again does the rest.
#[derive(Debug, thiserror::Error)]
pub enum RepairError {
    #[error(transparent)]
    Verify(#[from] VerifyError),
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The temporary file for outcomes.
    #[error(
        "outcomes cannot be kept in a temporary file ({0}): make room, or set TMPDIR to a folder that has some"
    )]
    Spill(#[from] std::io::Error),
}
