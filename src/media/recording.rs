//! The check of a recording, from the checks of its chunks. Pure.

use serde::{Deserialize, Serialize};

use super::Check;
use crate::recording::Recording;

/// The check of a recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RecordingCheck {
    /// The sum of the chunks' durations in milliseconds; `None` if one is unknown.
    pub duration_ms: Option<u64>,
    /// The recording's duration in milliseconds, from the event.
    pub recording_duration_ms: Option<u64>,
    /// The sum of the chunks less the recording's duration, if both are known.
    pub difference_ms: Option<i64>,
    /// The doubts about the media, in words.
    pub doubts: Vec<String>,
}

impl RecordingCheck {
    /// The check of `recording` from the checks of its chunks, each with the chunk's index.
    ///
    /// A difference alone is no doubt, because the recording's duration includes pauses. A sum of
    /// less than half the recording's duration is one, if the event names all chunks.
    #[must_use]
    pub fn new(recording: &Recording, checks: &[(u64, &Check)]) -> Self {
        let mut durations = checks.iter().map(|(_, check)| check.duration_ms);
        let sum = durations.try_fold(0_u64, |sum, duration| Some(sum.saturating_add(duration?)));
        let told = recording.duration_ms;
        let difference = sum.zip(told).and_then(|(sum, told)| {
            let difference = i128::from(sum) - i128::from(told);
            i64::try_from(difference).ok()
        });
        let doubts = checks.iter().filter_map(|(index, check)| {
            let doubt = check.doubt()?;
            Some(format!("chunk {index} {doubt}"))
        });
        let mut doubts: Vec<_> = doubts.collect();
        if let Some((sum, told)) = sum.zip(told)
            && recording.is_all()
            && sum < told / 2
        {
            doubts.push(format!(
                "chunks last for {sum} ms, less than half of the recording's {told} ms"
            ));
        }
        Self {
            duration_ms: sum,
            recording_duration_ms: told,
            difference_ms: difference,
            doubts,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_grid;
    use crate::media::Verdict;
    use serde_json::{Value, json};

    fn recording(told: &Value, chunks: &[(u64, &str)]) -> Recording {
        let chunks = chunks.iter().map(|(index, end)| {
            json!({"documentId": format!("d{index}"), "index": index, "endReason": end})
        });
        let chunks: Vec<_> = chunks.collect();
        let event = json!({
            "id": "1", "subject": "/recording/call/c",
            "eventType": "Microsoft.Communication.RecordingFileStatusUpdated",
            "data": {
                "recordingStorageInfo": {"recordingChunks": chunks},
                "recordingDurationMs": told,
            },
        });
        event_grid::recording(event.to_string().as_bytes()).unwrap()
    }

    fn of(verdict: Verdict, duration_ms: Option<u64>) -> Check {
        Check {
            verdict,
            duration_ms,
            ..Check::failed("as the test says")
        }
    }

    #[test]
    fn durations_of_any_size_are_summed() {
        let longest = of(Verdict::Complete, Some(u64::MAX));
        let recording = recording(&json!(5000), &[(0, "SessionEnded"), (1, "SessionEnded")]);
        let check = RecordingCheck::new(&recording, &[(0, &longest), (1, &longest)]);
        assert_eq!(check.duration_ms, Some(u64::MAX));
        assert_eq!(check.doubts, [""; 0]);
    }

    #[test]
    fn the_sum_of_durations_is_compared_with_the_recordings() {
        let one = |index| (index, "SessionEnded");
        let two = [one(0), one(1)];
        for (told, durations, sum, difference, doubts) in [
            (
                json!(5000),
                [Some(2000), Some(3000)],
                Some(5000),
                Some(0),
                0,
            ),
            (
                json!("5000.0"),
                [Some(2000), Some(2500)],
                Some(4500),
                Some(-500),
                0,
            ),
            (
                json!(5000),
                [Some(2000), Some(3500)],
                Some(5500),
                Some(500),
                0,
            ),
            (
                json!(5000),
                [Some(1000), Some(1500)],
                Some(2500),
                Some(-2500),
                0,
            ),
            (
                json!(5000),
                [Some(1000), Some(1499)],
                Some(2499),
                Some(-2501),
                1,
            ),
            (json!(5000), [Some(1000), None], None, None, 0),
            (json!(null), [Some(1000), Some(1)], Some(1001), None, 0),
            (json!(5000), [Some(5000), Some(0)], Some(5000), Some(0), 1),
            (
                json!(5000),
                [Some(u64::MAX), Some(0)],
                Some(u64::MAX),
                None,
                1,
            ),
        ] {
            let recording = recording(&told, &two);
            let checks = durations.map(|duration| of(Verdict::Complete, duration));
            let checks = [(0, &checks[0]), (1, &checks[1])];
            let check = RecordingCheck::new(&recording, &checks);
            let there = (check.duration_ms, check.difference_ms, check.doubts.len());
            assert_eq!(there, (sum, difference, doubts), "{check:?}");
        }
    }

    #[test]
    fn a_missing_half_is_doubtful_if_the_event_names_all_chunks() {
        let check = of(Verdict::Complete, Some(1000));
        for (chunks, is_doubtful) in [
            (&[(0, "SessionEnded")][..], true),
            (&[(0, "sessionended")], true),
            (&[(0, "")], true),
            (
                &[(0, "ChunkMaximumTimeExceeded"), (2, "SessionEnded")],
                true,
            ),
            // The other chunks come in events of their own.
            (&[(0, "ChunkMaximumTimeExceeded")], false),
            (&[(3, "SessionEnded")], false),
        ] {
            let recording = recording(&json!(10_000), chunks);
            let checks: Vec<_> = chunks.iter().map(|(index, _)| (*index, &check)).collect();
            let check = RecordingCheck::new(&recording, &checks);
            assert_eq!(check.doubts.len(), usize::from(is_doubtful), "{chunks:?}");
        }
    }

    #[test]
    fn a_truncated_or_unreadable_chunk_is_doubtful_and_an_unknown_one_is_not() {
        let recording = recording(&json!(null), &[(7, "SessionEnded")]);
        for (verdict, doubt) in [
            (Verdict::Complete, None),
            (Verdict::Unknown, None),
            (
                Verdict::Truncated,
                Some("chunk 7 is truncated: as the test says"),
            ),
            (
                Verdict::Unreadable,
                Some("chunk 7 is unreadable: as the test says"),
            ),
        ] {
            let check = of(verdict, None);
            let check = RecordingCheck::new(&recording, &[(7, &check)]);
            assert_eq!(check.doubts.first().map(String::as_str), doubt);
        }
    }
}
