//! One test for each known class of attack on HTTP/2. In each, other clients are answered within a second and the
//! process stays small. The server closes the attacker's connection, or that connection costs no more than any other.

use super::flood::{Outcome, Reading, attack};
use super::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, INITIAL_WINDOW_SIZE,
    NONE, PING, PRIORITY, PROTOCOL_ERROR, RST_STREAM, SETTINGS, WINDOW_UPDATE, frame, head,
    literal, request, setting, stream,
};
use super::probe;
use anyhow::{Result, ensure};

/// Maximum growth of the process under four attackers, in bytes.
const SMALL: usize = 16 << 20;
/// Maximum growth for four hundred responses, in bytes: the component's memory limit. It allocates their pieces of 64
/// KiB within that limit.
const RESPONSES: usize = 128 << 20;

/// Asserts that the server closed every connection with this error code.
#[track_caller]
fn assert_cut(outcomes: &[Outcome], code: u32) {
    for outcome in outcomes {
        assert_eq!(
            (outcome.goaway, outcome.closed),
            (Some(code), true),
            "{outcomes:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_is_cut_cve_2023_44487() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::Yes, SMALL, &[], |number| {
        let reset = frame(RST_STREAM, NONE, stream(number), &8_u32.to_be_bytes());
        [request(END_STREAM, stream(number), "/hello"), reset].concat()
    })
    .await?;
    assert_cut(&outcomes, ENHANCE_YOUR_CALM);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn made_you_reset_is_cut_cve_2025_8671() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::Yes, SMALL, &[], |number| {
        // Exceeds the maximum window, so the server resets the stream.
        let overflow = i32::MAX.to_be_bytes();
        let update = frame(WINDOW_UPDATE, NONE, stream(number), &overflow);
        [request(NONE, stream(number), "/swallow"), update].concat()
    })
    .await?;
    assert_cut(&outcomes, ENHANCE_YOUR_CALM);
    ensure!(
        outcomes.iter().all(|outcome| outcome.resets <= 100),
        "{outcomes:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_continuation_flood_is_cut_cve_2024_27316() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    for field in [Vec::new(), literal(false, "x-a", &[b'y'; 8000])] {
        let first = frame(HEADERS, END_STREAM, stream(0), &head(END_STREAM, "/hello"));
        let outcomes = attack(&host, Reading::Yes, SMALL, &first, |_| {
            frame(CONTINUATION, NONE, stream(0), &field)
        })
        .await?;
        assert_cut(&outcomes, ENHANCE_YOUR_CALM);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_header_compression_bomb_is_cut_cve_2016_6581() -> Result<()> {
    const NEWEST_ENTRY: u8 = 0x80 | 62;
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::Yes, SMALL, &[], |number| {
        let mut block = head(END_STREAM, "/hello");
        block.extend(literal(true, "x-bomb", &[b'y'; 3900]));
        // 12,000 bytes that decompress to 47 million.
        block.extend([NEWEST_ENTRY; 12_000]);
        frame(HEADERS, END_STREAM | END_HEADERS, stream(number), &block)
    })
    .await?;
    assert_cut(&outcomes, ENHANCE_YOUR_CALM);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_are_not_read_while_replies_are_left_unread_cve_2019_9512() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::No, SMALL, &[], |_| {
        frame(PING, NONE, 0, &[0; 8])
    })
    .await?;
    for outcome in &outcomes {
        assert!(outcome.stalled && outcome.sent < 64 << 20, "{outcomes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_are_not_read_while_replies_are_left_unread_cve_2019_9515() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::No, SMALL, &[], |_| {
        frame(SETTINGS, NONE, 0, &[])
    })
    .await?;
    for outcome in &outcomes {
        assert!(outcome.stalled && outcome.sent < 64 << 20, "{outcomes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_and_settings_do_not_delay_other_clients() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    attack(&host, Reading::Yes, SMALL, &[], |_| {
        [frame(PING, NONE, 0, &[0; 8]), frame(SETTINGS, NONE, 0, &[])].concat()
    })
    .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_frames_are_cut_cve_2019_9518() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let first = request(NONE, stream(0), "/swallow");
    let outcomes = attack(&host, Reading::Yes, SMALL, &first, |_| {
        frame(DATA, NONE, stream(0), &[])
    })
    .await?;
    assert_cut(&outcomes, ENHANCE_YOUR_CALM);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_name_and_value_are_cut_cve_2019_9516() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let outcomes = attack(&host, Reading::Yes, SMALL, &[], |number| {
        let mut block = head(END_STREAM, "/hello");
        block.extend(literal(false, "", b"").repeat(5000));
        frame(HEADERS, END_STREAM | END_HEADERS, stream(number), &block)
    })
    .await?;
    assert_cut(&outcomes, PROTOCOL_ERROR);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn windows_that_never_open_take_little_memory_cve_2019_9517() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let responses: Vec<u8> = (0..100)
        .flat_map(|number| request(END_STREAM, stream(number), "/bytes?n=10000000"))
        .collect();
    let first = [setting(INITIAL_WINDOW_SIZE, 0), responses].concat();
    attack(&host, Reading::Yes, RESPONSES, &first, |_| Vec::new()).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unread_responses_take_little_memory() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    let wide = [
        setting(INITIAL_WINDOW_SIZE, i32::MAX as u32),
        frame(WINDOW_UPDATE, NONE, 0, &(1_u32 << 30).to_be_bytes()),
    ]
    .concat();
    let outcomes = attack(&host, Reading::No, RESPONSES, &wide, |number| {
        request(END_STREAM, stream(number), "/bytes?n=10000000")
    })
    .await?;
    for outcome in &outcomes {
        assert!(outcome.closed || outcome.stalled, "{outcomes:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn endless_priority_changes_do_not_delay_other_clients_cve_2019_9513() -> Result<()> {
    let (_app, host) = probe(&[]).await?;
    attack(&host, Reading::Yes, SMALL, &[], |number| {
        let depends_on = stream(number + 1 + number % 7).to_be_bytes();
        let payload = [&depends_on[..], &[number as u8]].concat();
        frame(PRIORITY, NONE, stream(number), &payload)
    })
    .await?;
    Ok(())
}
