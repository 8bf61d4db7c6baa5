//! "Did you mean …?"

use alloc::vec::Vec;

/// The candidate nearest to `word`, if it is at most two edits away (one for words of up to four letters).
pub(super) fn nearest<'a>(
    word: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    let limit = if word.len() <= 4 { 1 } else { 2 };
    // Long words are nobody's typing error, and the distance takes time in proportion to the length.
    if word.len() > 40 {
        return None;
    }
    candidates
        .map(|candidate| (distance(word.as_bytes(), candidate.as_bytes()), candidate))
        .filter(|&(edits, _)| (1..=limit).contains(&edits))
        .min_by_key(|&(edits, _)| edits)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein's distance, one row at a time.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, to) in row.iter_mut().skip(1).zip(b) {
            let substituted = diagonal + usize::from(from != to);
            diagonal = *cell;
            left = substituted.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_levenshteins() {
        for (a, b, edits) in [
            ("", "abc", 3),
            ("kitten", "sitting", 3),
            ("same", "same", 0),
        ] {
            assert_eq!(distance(a.as_bytes(), b.as_bytes()), edits);
        }
    }

    #[test]
    fn near_words_are_suggested_and_far_ones_not() {
        let keys = ["memory", "kernel", "vif"];
        assert_eq!(nearest("memroy", keys.into_iter()), Some("memory"));
        assert_eq!(nearest("kernal", keys.into_iter()), Some("kernel"));
        assert_eq!(nearest("vif", keys.into_iter()), None);
        assert_eq!(nearest("disc", keys.into_iter()), None);
    }
}
