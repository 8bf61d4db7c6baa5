//! Nothing that a guest does stops the hypervisor, or leads out of the guest's memory. `fuzz/` has the same for hours.

#[path = "guest/stream.rs"]
mod stream;
#[path = "guest/world.rs"]
mod world;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_stream_is_survived(bytes in prop::collection::vec(any::<u8>(), 0..6000)) {
        let memory = world::memory();
        stream::run(&memory, &bytes);
    }
}
