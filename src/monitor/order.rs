//! Panes in the order in which their messages were consumed. Pure.

use std::ops::Range;

use crate::store::KeptPane;

/// Panes of the same chunk and partition together, one of each model: they are counted at once or not at all. Of each partition
/// the earlier ones come first.
pub(super) fn by_chunk(mut panes: Vec<KeptPane>) -> Vec<Vec<KeptPane>> {
    panes.sort_by(|one, other| {
        let place = |pane: &KeptPane| (pane.offsets.start, pane.model);
        let by_partition = one.partition.cmp(&other.partition);
        by_partition.then_with(|| place(one).cmp(&place(other)))
    });
    let mut chunks: Vec<Vec<KeptPane>> = Vec::new();
    for pane in panes {
        match chunks
            .last_mut()
            .and_then(|chunk| Some((chunk.first()?.key(), chunk)))
        {
            Some((first, chunk))
                if first.first == pane.offsets.start && first.partition == pane.partition =>
            {
                chunk.push(pane);
            }
            _ => chunks.push(vec![pane]),
        }
    }
    chunks
}

/// Lists that are each in the order of their offsets, as runs of one list after the other so that all are in that order: which list,
/// and which part of it.
pub(super) fn runs<T>(lists: &[Vec<(i64, T)>]) -> Vec<(usize, Range<usize>)> {
    let mut begun = vec![0; lists.len()];
    let mut runs = Vec::new();
    loop {
        let next = |list: usize| lists[list].get(begun[list]).map(|(offset, _)| *offset);
        let waiting = (0..lists.len()).filter_map(|list| Some((next(list)?, list)));
        let Some((_, list)) = waiting.min() else {
            return runs;
        };
        let others = (0..lists.len()).filter(|&other| other != list);
        let until = others.filter_map(next).min().unwrap_or(i64::MAX);
        let first = begun[list];
        let rest = &lists[list][first..];
        // At least one, so that equal offsets do not stop it.
        let run = rest
            .iter()
            .take_while(|(offset, _)| *offset < until)
            .count()
            .max(1);
        begun[list] += run;
        runs.push((list, first..first + run));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::record::TopicPartition;

    fn pane(partition: i32, offsets: Range<i64>, model: i32) -> KeptPane {
        KeptPane {
            partition: TopicPartition {
                topic: Arc::from("posts"),
                partition,
            },
            offsets,
            model,
            payload: Vec::new(),
        }
    }

    #[test]
    fn panes_of_a_chunk_in_a_partition_are_together_whatever_lies_between_them() {
        let panes = vec![
            pane(1, 5..9, 2),
            pane(0, 0..5, 1),
            pane(0, 5..9, 1),
            pane(1, 5..9, 1),
            pane(0, 0..5, 2),
        ];
        let chunks: Vec<Vec<(i32, i64, i32)>> = by_chunk(panes)
            .iter()
            .map(|chunk| {
                let place =
                    |pane: &KeptPane| (pane.partition.partition, pane.offsets.start, pane.model);
                chunk.iter().map(place).collect()
            })
            .collect();
        assert_eq!(
            chunks,
            [
                vec![(0, 0, 1), (0, 0, 2)],
                vec![(0, 5, 1)],
                vec![(1, 5, 1), (1, 5, 2)],
            ]
        );
    }

    proptest! {
        #[test]
        fn runs_put_everything_in_the_order_of_offsets(of in prop::collection::vec(0_usize..3, 0..60)) {
            let mut lists: Vec<Vec<(i64, ())>> = vec![Vec::new(); 3];
            for (offset, list) in of.iter().enumerate() {
                lists[*list].push((i64::try_from(offset).unwrap(), ()));
            }
            let runs = runs(&lists);
            let offsets: Vec<i64> = runs
                .iter()
                .flat_map(|(list, run)| lists[*list][run.clone()].iter().map(|(offset, ())| *offset))
                .collect();
            prop_assert_eq!(offsets, (0..i64::try_from(of.len()).unwrap()).collect::<Vec<_>>());
            // No more runs than there must be.
            let changes = of.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert_eq!(runs.len(), if of.is_empty() { 0 } else { changes + 1 });
        }
    }
}
