//! What the fuzz targets do, with bytes that are made here.

mod stream;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn viewers_say_anything(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        stream::viewer(&bytes);
    }

    #[test]
    fn frames_are_anything(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
        stream::frames(&bytes);
    }
}
