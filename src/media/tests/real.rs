//! Examinations of files made by `ffmpeg`: complete, cut, extended, with other sizes.

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

/// The offset of the first box of that kind.
fn find(bytes: &[u8], kind: &[u8]) -> usize {
    let place = bytes.windows(kind.len()).position(|part| part == kind);
    place.unwrap() - 4
}

#[test]
fn wrong_sizes_are_found() {
    use Verdict::{Truncated, Unknown, Unreadable};
    for (name, kind, size, verdict, reason) in [
        (
            "faststart.mp4",
            "ftyp",
            7,
            Unreadable,
            "less than its header",
        ),
        ("faststart.mp4", "ftyp", u32::MAX, Truncated, "of which"),
        ("faststart.mp4", "mdat", 0, Unknown, "extends to the end"),
        ("faststart.mp4", "mdat", 1, Truncated, "of which"),
        ("last.mp4", "mdat", 0, Truncated, "without `moov`"),
        ("last.mp4", "mdat", 8, Unreadable, "are no box"),
        ("last.mp4", "mvhd", 12, Unreadable, "too short"),
        (
            "last.mp4",
            "trak",
            u32::MAX,
            Unreadable,
            "longer than the `moov`",
        ),
        ("last.mp4", "stsd", 8, Unreadable, ""),
        ("sidx.mp4", "sidx", 40, Unreadable, ""),
    ] {
        let mut bytes = file(name);
        let at = find(&bytes, kind.as_bytes());
        bytes[at..at + 4].copy_from_slice(&size.to_be_bytes());
        let check = examine(&bytes);
        let told = format!("{name}, {kind} {size}: {check:?}");
        assert_eq!(check.verdict, verdict, "{told}");
        assert!(check.reason.contains(reason), "{told}");
    }
}

#[test]
fn a_movie_without_a_box_that_playing_needs_is_unreadable() {
    for (from, to, reason) in [
        (&b"ftyp"[..], &b"free"[..], "no `ftyp`"),
        (b"mvhd", b"free", "no `mvhd`"),
        (b"trak", b"free", "no track"),
        (b"tkhd", b"free", "no `tkhd`"),
        (b"mdhd", b"free", "no `mdhd`"),
        (b"stbl", b"free", "no `stbl`"),
    ] {
        let mut bytes = file("audio.mp4");
        let at = find(&bytes, from) + 4;
        bytes[at..at + 4].copy_from_slice(to);
        let check = examine(&bytes);
        assert_eq!(check.verdict, Verdict::Unreadable, "{check:?}");
        assert!(check.reason.contains(reason), "{check:?}");
    }
    // A clock with 0 units a second.
    let mut bytes = file("audio.mp4");
    let at = find(&bytes, b"mvhd") + 8 + 12;
    bytes[at..at + 4].copy_from_slice(&[0; 4]);
    let check = examine(&bytes);
    assert_eq!(check.verdict, Verdict::Unreadable, "{check:?}");
    assert!(check.reason.contains("0 units"), "{check:?}");
}

#[test]
fn a_movie_without_duration_is_doubtful() {
    let mut bytes = file("audio.mp4");
    for (kind, place) in [(b"mvhd", 8 + 16), (b"mdhd", 8 + 16)] {
        let at = find(&bytes, kind) + place;
        bytes[at..at + 4].copy_from_slice(&[0; 4]);
    }
    let check = examine(&bytes);
    assert_eq!(
        (check.verdict, check.duration_ms),
        (Verdict::Complete, Some(0))
    );
    assert_eq!(check.doubt().as_deref(), Some("has a duration of zero"));
}

#[test]
fn fragments_that_end_before_their_announcement_are_truncated() {
    let mut bytes = file("fragments.mp4");
    // `mehd` replaces `trex` of the first track, which is long enough.
    let at = find(&bytes, b"trex");
    bytes[at + 4..at + 8].copy_from_slice(b"mehd");
    bytes[at + 8..at + 16].copy_from_slice(&[0, 0, 0, 0, 0, 0, 0x27, 0x10]);
    let check = examine(&bytes);
    assert_eq!(check.verdict, Verdict::Truncated, "{check:?}");
    assert!(
        check.reason.contains("of the 10000 ms in `mehd`"),
        "{check:?}"
    );
}

#[test]
fn streamed_wav_files_are_unknown_with_their_duration() {
    let whole = file("pcm.wav");
    for (riff, data) in [
        (u32::MAX, u32::MAX),
        (0, 0),
        (36, 0),
        (u32::MAX, 0),
        (0, u32::MAX),
    ] {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&riff.to_le_bytes());
        bytes[40..44].copy_from_slice(&data.to_le_bytes());
        let check = check(&Source::of(&bytes), Format::Wav);
        let told = format!("{riff}, {data}: {check:?}");
        assert_eq!(check.verdict, Verdict::Unknown, "{told}");
        assert_eq!(check.duration_ms, Some(250), "{told}");
        assert_eq!(check.doubt(), None, "{told}");
    }
    for (riff, data, verdict) in [
        (4036, 4000, Verdict::Complete),
        (4038, 4000, Verdict::Truncated),
        (4034, 4000, Verdict::Complete),
        (4036, 4002, Verdict::Truncated),
        (4036, 3998, Verdict::Truncated),
        (100, 4000, Verdict::Complete),
        (100, 3000, Verdict::Unreadable),
    ] {
        let mut bytes = whole.clone();
        bytes[4..8].copy_from_slice(&u32::to_le_bytes(riff));
        bytes[40..44].copy_from_slice(&u32::to_le_bytes(data));
        let check = check(&Source::of(&bytes), Format::Wav);
        assert_eq!(check.verdict, verdict, "{riff}, {data}: {check:?}");
    }
    // A file without audio.
    let mut empty = whole[..44].to_vec();
    empty[4..8].copy_from_slice(&36_u32.to_le_bytes());
    empty[40..44].copy_from_slice(&[0; 4]);
    let check = check(&Source::of(&empty), Format::Wav);
    assert_eq!(
        (check.verdict, check.duration_ms),
        (Verdict::Complete, Some(0))
    );
    assert!(check.doubt().is_some());
}

#[test]
fn a_format_other_than_the_keys_is_named() {
    for (name, format, said) in [
        ("pcm.wav", Format::Mp4, "the key says mp4, but it is wav"),
        ("cbr.mp3", Format::Wav, "the key says wav, but it is mp3"),
        ("audio.mp4", Format::Mp3, "the key says mp3, but it is mp4"),
    ] {
        let check = check(&Source::of(&file(name)), format);
        assert_eq!(check.verdict, Verdict::Complete, "{check:?}");
        assert!(check.reason.ends_with(said), "{check:?}");
    }
}

#[test]
fn bytes_that_are_no_media_are_unreadable() {
    for bytes in [
        &b""[..],
        b"{",
        b"<!DOCTYPE html><html>",
        b"{\"error\": {\"code\": \"NotFound\"}}",
        &[0; 300],
        &[0xff; 300],
        b"ID3",
        b"RIFF",
    ] {
        let check = examine(bytes);
        let told = format!("{bytes:?}: {check:?}");
        assert_ne!(check.verdict, Verdict::Complete, "{told}");
        assert!(check.doubt().is_some(), "{told}");
    }
    for bytes in [
        &b"OggS\0\x02"[..],
        b"fLaC\0\0\0\x22",
        b"RIFF\x10\0\0\0AVI LIST",
        b"\xff\xf1\x50\x80\x02\x1f\xfc",
    ] {
        let check = examine(bytes);
        assert_eq!(check.verdict, Verdict::Unknown, "{bytes:?}: {check:?}");
        assert_eq!(check.doubt(), None);
    }
}
