//! Migrations are embedded by a macro, which a new file alone would not make run again.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
