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

    #[test]
    fn a_router_takes_anything(
        frames in prop::collection::vec((0_u8..8, prop::collection::vec(any::<u8>(), 0..60)), 0..20),
    ) {
        let frames = frames.iter().flat_map(|(kind, content)| [&[content.len() as u8, *kind], &content[..]].concat());
        stream::router(&frames.collect::<Vec<_>>());
    }

    #[test]
    fn messages_are_anything(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        stream::messages(&bytes);
    }

    #[test]
    fn a_switch_takes_anything(
        frames in prop::collection::vec((0_u8..5, prop::collection::vec(prop_oneof![Just(2_u8), 0_u8..9, any::<u8>()], 12..40)), 0..20),
    ) {
        let frames = frames.iter().flat_map(|(from, content)| [&[content.len() as u8, *from], &content[..]].concat());
        stream::switch(&frames.collect::<Vec<_>>());
    }
}
