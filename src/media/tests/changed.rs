//! Examinations of files made by `ffmpeg` with changed bytes, and of bytes that are no media.

use super::*;

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
