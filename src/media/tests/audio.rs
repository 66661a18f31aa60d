//! Examinations of WAV and MP3 files that are larger than the reads.

use super::*;

#[test]
fn a_wav_file_of_gigabytes_takes_a_read_or_two() {
    let header = file("pcm.wav")[..44].to_vec();
    let of = |size: u64, riff: u32, data: u32| {
        let mut header = header.clone();
        header[4..8].copy_from_slice(&riff.to_le_bytes());
        header[40..44].copy_from_slice(&data.to_le_bytes());
        Source::joined(&[(&header, size)])
    };
    let size = 3 * GIB;
    let data = u32::try_from(size).unwrap();
    let (check, reads) = of(size, data + 36, data).examine(Format::Wav);
    assert_eq!((check.verdict, reads), (Verdict::Complete, 1), "{check:?}");
    assert_eq!(check.duration_ms, Some(size * 1000 / 16_000));
    let (check, _) = of(size - 1, data + 36, data).examine(Format::Wav);
    assert_eq!(check.verdict, Verdict::Truncated, "{check:?}");
    assert_eq!(check.duration_ms, Some((size - 1) * 1000 / 16_000));
    // The length does not fit into the 32 bits of the header, which has other numbers.
    let (check, _) = of(5 * GIB, 1000, 900).examine(Format::Wav);
    assert_eq!(check.verdict, Verdict::Unknown, "{check:?}");
    assert_eq!(check.duration_ms, Some(5 * GIB * 1000 / 16_000));
}

#[test]
fn an_mp3_file_of_an_hour_takes_two_reads() {
    // Frames of 72 bytes and 36 ms.
    for name in ["bare.mp3", "cbr.mp3"] {
        let bytes = file(name);
        // All but the last five frames of the fixture are in front.
        let (front, rest) = bytes.split_at(bytes.len() - 72 * 5);
        let before = u64::from(name == "bare.mp3") * (front.len() as u64 / 72);
        let mut bytes = [front, &rest.repeat(20_000)].concat();
        if name == "cbr.mp3" {
            let at = bytes.windows(4).position(|part| part == b"Info").unwrap() + 8;
            bytes[at..at + 4].copy_from_slice(&100_000_u32.to_be_bytes());
            let tag = 10 + usize::from(bytes[9]);
            let size = u32::try_from(bytes.len() - tag).unwrap();
            bytes[at + 4..at + 8].copy_from_slice(&size.to_be_bytes());
        }
        let duration = (100_000 + before) * 36;
        let source = Source::of(&bytes);
        let (check, reads) = source.examine(Format::Mp3);
        let told = format!("{name}: {check:?}");
        assert_eq!((check.verdict, reads), (Verdict::Complete, 2), "{told}");
        assert_eq!(check.duration_ms, Some(duration), "{told}");
        for less in [1, 37, 71] {
            let mut cut = source.clone();
            cut.length -= less;
            let (check, _) = cut.examine(Format::Mp3);
            assert_eq!(check.verdict, Verdict::Truncated, "{name}: {check:?}");
        }
        // Tags after the frames, and pictures before and after.
        let id3v1 = [&b"TAG"[..], &[0; 125]].concat();
        let picture = [&b"ID3\x04\0\0\0\x20\0\0"[..], &vec![0xff; 32 << 14]].concat();
        for (before, behind, most) in [(&[][..], 5_000, 2), (&picture, 600_000, 4)] {
            let bytes = [before, &bytes, &ape(behind), &id3v1].concat();
            let (check, reads) = Source::of(&bytes).examine(Format::Mp3);
            assert_eq!(check.verdict, Verdict::Complete, "{name}: {check:?}");
            assert_eq!(check.duration_ms, Some(duration));
            assert_eq!(reads, most, "{name}");
        }
    }
}

/// An APE tag of `size` bytes, with a header.
fn ape(size: u32) -> Vec<u8> {
    let part = [
        &b"APETAGEX"[..],
        &2000_u32.to_le_bytes(),
        &size.to_le_bytes(),
        &1_u32.to_le_bytes(),
        &(1_u32 << 31).to_le_bytes(),
        &[0; 8],
    ];
    let part = part.concat();
    [part.clone(), vec![1; size as usize - 32], part].concat()
}
