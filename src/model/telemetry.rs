//! Keeping ONNX Runtime to itself.

/// The one switch that is looked at before anything is opened.
const SWITCH: &str = "ORT_DISABLE_TELEMETRY";

/// Turns ONNX Runtime's telemetry off for this process.
///
/// Newer builds open a store of events in the user's cache and a file in the temporary folder when their environment is
/// made, before the call that disables events can be made. To be called by a program at its very beginning: the environment
/// may not be changed once there are other threads.
pub fn turn_off() {
    if std::env::var_os(SWITCH).is_none() {
        #[expect(
            unsafe_code,
            reason = "programs call this first, so no other thread reads the environment at the same time"
        )]
        // SAFETY: the only thread there is makes this call.
        unsafe {
            std::env::set_var(SWITCH, "1");
        }
    }
}
