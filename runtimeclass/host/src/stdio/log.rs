//! The log's lines, and the line with the reason why the command ends.

use super::{Chunk, LOG_BYTES, Output};
use bytes::Bytes;
use std::io;

impl Output {
    /// Queues a line of the log, or drops it.
    pub(crate) fn line(&self, line: &[u8]) {
        let mut state = self.queue.state();
        if state.bytes < LOG_BYTES {
            let chunk = Chunk::Log(Bytes::copy_from_slice(line));
            self.queue.push(state, chunk);
        } else {
            state.dropped += 1;
        }
    }
}

/// Each write is a line. It never fails: a logger could not do anything about it.
impl io::Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
