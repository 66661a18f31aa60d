//! Examinations of files made by `ffmpeg`: complete, cut, extended.

use super::*;

/// Each file with its format, verdict, duration in milliseconds and tracks.
const FILES: [(&str, Format, Verdict, Option<u64>, &str); 20] = {
    use Format::{Mp3, Mp4, Wav};
    use Verdict::{Complete, Unknown};
    const BOTH: &str = "video avc1, audio mp4a";
    [
        ("last.mp4", Mp4, Complete, Some(2000), BOTH),
        ("faststart.mp4", Mp4, Complete, Some(2000), BOTH),
        ("edits.mp4", Mp4, Complete, Some(2500), BOTH),
        ("audio.mp4", Mp4, Complete, Some(2000), "audio mp4a"),
        ("mfra.mp4", Mp4, Complete, Some(2200), BOTH),
        ("fragments.mp4", Mp4, Complete, Some(2200), BOTH),
        ("hybrid.mp4", Mp4, Complete, Some(2200), BOTH),
        ("sidx.mp4", Mp4, Complete, Some(2200), BOTH),
        ("sidx-each.mp4", Mp4, Complete, Some(2200), BOTH),
        ("cbr.mp3", Mp3, Complete, Some(2088), "audio mp3"),
        ("vbr.mp3", Mp3, Complete, Some(2088), "audio mp3"),
        ("tags.mp3", Mp3, Complete, Some(2088), "audio mp3"),
        ("bare.mp3", Mp3, Complete, Some(2088), "audio mp3"),
        ("layer2.mp3", Mp3, Complete, Some(2016), "audio mp2"),
        ("pcm.wav", Wav, Complete, Some(250), "audio pcm 16"),
        ("extensible.wav", Wav, Complete, Some(250), "audio pcm 24"),
        ("mulaw.wav", Wav, Complete, Some(250), "audio mulaw"),
        ("rf64.wav", Wav, Complete, Some(250), "audio pcm 16"),
        ("streamed.wav", Wav, Unknown, Some(250), "audio pcm 16"),
        ("other.webm", Mp4, Unknown, None, ""),
    ]
};

#[test]
fn files_of_ffmpeg_are_complete_with_their_duration() {
    for (name, format, verdict, duration, tracks) in FILES {
        let (check, reads) = Source::of(&file(name)).examine(format);
        assert_eq!(check.verdict, verdict, "{name}: {check:?}");
        // The duration is that of `ffprobe`, except for the rounding of an audio frame.
        let differs = |told: u64| check.duration_ms.is_none_or(|ms| ms.abs_diff(told) > 36);
        assert!(!duration.is_some_and(differs), "{name}: {check:?}");
        let there = check
            .tracks
            .iter()
            .map(|track| format!("{:?} {}", track.kind, track.codec));
        let there = there.collect::<Vec<_>>().join(", ").to_lowercase();
        assert_eq!(there, tracks, "{name}");
        assert_eq!(reads, 1, "{name}");
        assert_eq!(check.doubt(), None, "{name}");
        assert!(!check.reason.contains("the key says"), "{name}");
    }
}

/// The lengths at which a cut file is still complete: the cut is after a fragment or a frame, and
/// nothing announces another.
fn still_complete(name: &str, bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    let mut at = 0;
    match name {
        "mfra.mp4" | "fragments.mp4" | "hybrid.mp4" | "sidx-each.mp4" => {
            let mut fragments = 0;
            while at < bytes.len() {
                let (size, kind) = (read(bytes, at) as usize, &bytes[at + 4..at + 8]);
                at += size;
                fragments += usize::from(kind == b"moof");
                // The first fragment of a hybrid file is in its `moov`.
                if kind == b"mdat" && (fragments > 0 || name == "hybrid.mp4") {
                    lengths.push(at);
                }
            }
        }
        "bare.mp3" => lengths.extend((0..=bytes.len()).step_by(72)),
        "layer2.mp3" => lengths.extend((0..=bytes.len()).step_by(288)),
        "tags.mp3" => lengths.push(bytes.len() - 128),
        _ => {}
    }
    lengths.retain(|length| *length > 0 && *length < bytes.len());
    lengths
}

#[test]
fn a_file_that_is_cut_anywhere_is_not_complete() {
    for (name, format, verdict, ..) in FILES {
        if verdict != Verdict::Complete {
            continue;
        }
        let bytes = file(name);
        let exceptions = still_complete(name, &bytes);
        for length in 0..bytes.len() {
            let check = check(&Source::of(&bytes[..length]), format);
            let is_complete = exceptions.contains(&length);
            assert_eq!(
                check.verdict == Verdict::Complete,
                is_complete,
                "{name}, {length} of {}: {check:?}",
                bytes.len()
            );
            // Shorter than 16 bytes, the format is unknown.
            if !is_complete && length >= 16 {
                // Half a tag after the frames looks like junk.
                let is_tag = name == "tags.mp3" && length > bytes.len() - 128;
                let is_truncated = check.verdict == Verdict::Truncated;
                assert!(is_truncated || is_tag, "{name}, {length}: {check:?}");
                assert!(check.doubt().is_some());
            }
        }
    }
}

#[test]
fn bytes_after_the_end_are_found() {
    let junk: Vec<u8> = (0..1000_u32)
        .map(|byte| (byte * 7 % 251).to_le_bytes()[0] ^ 0x83)
        .collect();
    for (name, format, verdict, ..) in FILES {
        if verdict != Verdict::Complete {
            continue;
        }
        for junk in [
            &junk[..1],
            &junk[..7],
            &junk[..8],
            &junk,
            &[0; 100],
            b"<html><body>",
        ] {
            let bytes = [&file(name), junk].concat();
            let check = check(&Source::of(&bytes), format);
            let doubtful = [Verdict::Truncated, Verdict::Unreadable];
            assert!(
                doubtful.contains(&check.verdict),
                "{name} and {junk:?}: {check:?}"
            );
        }
    }
}

#[test]
fn two_files_in_one_are_found() {
    let twice = |name| examine(&[file(name), file(name)].concat()).verdict;
    assert_eq!(twice("pcm.wav"), Verdict::Unreadable);
    assert_eq!(twice("cbr.mp3"), Verdict::Unreadable);
    // The frames continue, but the summary in the first frame announces fewer.
    let bytes = file("cbr.mp3");
    let frames = &bytes[bytes.len() - 10 * 72..];
    assert_eq!(
        examine(&[&bytes, frames].concat()).verdict,
        Verdict::Unknown
    );
}
