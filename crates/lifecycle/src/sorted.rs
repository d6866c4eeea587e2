//! Collects small maps and sets as sorted lists, by inserting one entry after the other.
//!
//! `LiteMap::from_iter`, `slice::sort` and `BTreeSet` do the same for large ones. Each is 3 to 6 kB of code for each type of
//! entry.

use litemap::LiteMap;

/// Collects a map. Of two entries with the same key the later one stays.
pub fn collect_map<K: Ord, V>(entries: impl IntoIterator<Item = (K, V)>) -> LiteMap<K, V> {
    let mut map = LiteMap::new();
    for (key, value) in entries {
        map.insert(key, value);
    }
    map
}

/// Collects a set: each item once, in order.
pub fn collect_set<T: Ord>(items: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut set = Vec::new();
    for item in items {
        if let Err(place) = set.binary_search(&item) {
            set.insert(place, item);
        }
    }
    set
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_keeps_the_last_entry_of_a_key() {
        let map = collect_map([(2, 'a'), (1, 'b'), (2, 'c')]);
        assert!(map.iter().eq([(&1, &'b'), (&2, &'c')]));
    }

    #[test]
    fn a_set_has_each_item_once_and_in_order() {
        assert_eq!(collect_set([3, 1, 3, 2, 1]), [1, 2, 3]);
    }
}
