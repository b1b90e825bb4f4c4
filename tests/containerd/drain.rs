//! A container that is stopped under load.

use crate::container::Container;
use crate::node::Node;
use crate::volumes::volume;
use anyhow::{Result, ensure};
use std::collections::HashSet;
use visits_tests::history::History;
use visits_tests::load::visits_bin;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs root"]
async fn a_container_stopped_under_load_answers_every_visit_it_has_counted() -> Result<()> {
    let node = Node::shared().await?;
    let volume = volume()?;
    let mut acknowledged = HashSet::new();
    for _ in 0..5 {
        let container = Container::visits(volume.path()).start(&node).await?;
        let history = History::new();
        let stop = async {
            history.answers(300).await?;
            container.stop(&node).await
        };
        let (ended, ()) =
            futures::join!(stop, history.visit_until_the_end(container.address(), 16));
        assert_eq!(ended?.code, 0);
        let numbers = history.numbers();
        let before = acknowledged.len();
        acknowledged.extend(numbers.iter().copied());
        assert_eq!(
            acknowledged.len(),
            before + numbers.len(),
            "a number was given twice"
        );
        // Nothing crashed, so every counted visit was answered.
        assert_eq!(visits_bin(volume.path())?, acknowledged.len() as u64);
        container.remove().await?;
    }
    ensure!(acknowledged.len() >= 1500, "{} visits", acknowledged.len());
    Ok(())
}
