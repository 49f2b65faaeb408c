//! [`prefetch`]: memory is asked for before it is needed.

/// Asks for the cache line in which an item begins, without waiting for it. `at` may be one beyond
/// the last. Does nothing without the feature `prefetch`, and where a processor has no such
/// instruction.
#[inline]
pub(super) fn prefetch<T>(items: &[T], at: usize) {
    #[cfg(feature = "prefetch")]
    prefetch_index::prefetch_index(items, at);
    #[cfg(not(feature = "prefetch"))]
    let _ = (items, at);
}
