//! WAV files of a quiet tone.

use super::{RATE, numbered, random, size};

const HEADER: u64 = 44;
const SAMPLES_PER_WORD: u64 = 4;

/// The header of a file of `length` bytes.
pub(super) fn header(length: u64) -> Vec<u8> {
    let limited = |length: u64| u32::try_from(length).unwrap_or(u32::MAX);
    let mut header = Vec::with_capacity(size(HEADER));
    header.extend_from_slice(b"RIFF");
    header.extend_from_slice(&limited(length.saturating_sub(8)).to_le_bytes());
    header.extend_from_slice(b"WAVEfmt ");
    header.extend_from_slice(&16_u32.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&1_u16.to_le_bytes());
    header.extend_from_slice(&RATE.to_le_bytes());
    header.extend_from_slice(&(2 * RATE).to_le_bytes());
    header.extend_from_slice(&2_u16.to_le_bytes());
    header.extend_from_slice(&16_u16.to_le_bytes());
    header.extend_from_slice(b"data");
    header.extend_from_slice(&limited(length.saturating_sub(HEADER)).to_le_bytes());
    header
}

/// Fills words of the samples, of which the first is word number `first`. Noise in the lowest bits
/// makes each place differ from all others.
pub(super) fn fill(words: &mut [u8], first: u64, key: u64) {
    let period = one_period(key);
    let mut phase = size(first * SAMPLES_PER_WORD % period.len() as u64);
    for (number, word) in numbered(words, first) {
        let mut noise = random(key, number);
        for sample in word.chunks_exact_mut(2) {
            let [noise_byte, ..] = noise.to_le_bytes();
            let value = period[phase] + i32::from(noise_byte & 15) - 8;
            sample.copy_from_slice(&value.to_le_bytes()[..2]);
            noise >>= 16;
            phase = if phase + 1 == period.len() {
                0
            } else {
                phase + 1
            };
        }
    }
}

/// The samples of one period of a tone between 222 and 444 Hz. Two parabolas come near enough to a
/// sine and, computed in integers, are the same on every machine.
fn one_period(key: u64) -> Vec<i32> {
    const AMPLITUDE: i32 = 1000;
    let half: i32 = [18, 19, 20, 22, 24, 26, 28, 30, 32, 36][size(key % 10)];
    let arch = (0..half).map(|sample| 4 * AMPLITUDE * sample * (half - sample) / (half * half));
    arch.clone().chain(arch.map(|sample| -sample)).collect()
}
