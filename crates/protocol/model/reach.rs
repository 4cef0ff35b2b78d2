//! Whether the log can still be drained from everywhere: no circle of steps that nothing leads out of.

use std::collections::HashMap;

use stateright::Model;

use super::protocol::Protocol;
use super::state::State;

/// All reachable states, and one from which no way leads to a drained log, should there be one.
pub fn dead_end(protocol: &Protocol) -> (usize, Option<State>) {
    let mut numbers: HashMap<State, usize> = HashMap::new();
    let mut states = protocol.init_states();
    let mut before: Vec<Vec<usize>> = vec![Vec::new(); states.len()];
    numbers.extend(states.iter().copied().zip(0..));
    let mut at = 0;
    while at < states.len() {
        for next in protocol.next_states(&states[at]) {
            let number = *numbers.entry(next).or_insert_with(|| {
                states.push(next);
                before.push(Vec::new());
                states.len() - 1
            });
            before[number].push(at);
        }
        at += 1;
    }
    let mut leads = vec![false; states.len()];
    let mut open: Vec<usize> = (0..states.len())
        .filter(|&number| states[number].is_drained(protocol.messages))
        .collect();
    while let Some(number) = open.pop() {
        if !std::mem::replace(&mut leads[number], true) {
            open.extend(&before[number]);
        }
    }
    let stranded = leads.iter().position(|&leads| !leads);
    (states.len(), stranded.map(|number| states[number]))
}
