//! Why there is a protocol at all: the obvious handler loses visits.

use super::*;
use crate::protocol::directory::{Directory, OpenFile};
use crate::protocol::platform::Platform;

const VISITORS: usize = 64;
const SEEDS: u64 = 400;

/// Reads `visits.bin`, adds one and writes it back.
async fn obvious_visit(directory: impl Directory) {
    let before = directory.read(record::FILE, 8).await;
    let before = before.map_or(0, |bytes| record::decode(&bytes).unwrap());
    let file = directory.open_file(record::FILE, true).await.unwrap();
    file.write(&(before + 1).to_le_bytes()).await.unwrap();
}

#[test]
fn reading_adding_one_and_writing_back_loses_nine_of_ten_concurrent_visits() {
    let mut counted = 0;
    for seed in 0..SEEDS {
        let world = World::new(seed);
        let mut pool = LocalPool::new();
        for _ in 0..VISITORS {
            let directory = world.platform().root().unwrap();
            pool.spawner()
                .spawn_local(obvious_visit(directory))
                .unwrap();
        }
        world.run_to_rest(&mut pool);
        counted += published(&world).unwrap();
    }
    let visits = VISITORS as u64 * SEEDS;
    println!("{counted} of {visits} visits were counted");
    assert!(counted * 10 < visits, "{counted} of {visits} were counted");
}
