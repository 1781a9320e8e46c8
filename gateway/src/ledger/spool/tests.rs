//! What is written comes back, whatever happens to the files in between.

use std::fs;
use std::path::Path;

use store::{AttemptRow, AttemptUsage};
use tempfile::TempDir;

use super::cursor::Shipped;
use super::folder::{Folder, segment_name, segments};
use super::reader::Reader;
use super::*;

pub(super) fn settings(folder: &TempDir) -> SpoolSettings {
    SpoolSettings {
        folder: folder.path().join("spool"),
        durability: Durability::Os,
        bytes_max: 1 << 30,
    }
}

pub(super) fn row(number: i64) -> AttemptRow {
    AttemptRow {
        attempt_id: format!("call-{number}"),
        call_id: "call".to_owned(),
        attempt_number: number,
        tenant_id: "ten".to_owned(),
        key_id: "key".to_owned(),
        credential_id: (number % 2 == 0).then(|| "cred".to_owned()),
        provider: "openai".to_owned(),
        model_name: "fast".to_owned(),
        model: "gpt".to_owned(),
        dialect: "openai_chat".to_owned(),
        streamed: true,
        started_at_ms: 1_800_000_000_000,
        duration_us: 12,
        first_byte_us: Some(0),
        status: 200,
        outcome: "ok".to_owned(),
        operation: "chat".to_owned(),
        usage: Some(AttemptUsage {
            input_tokens: i64::MAX,
            output_tokens: 300,
            cache_write_tokens: 40,
            cache_write_1h_tokens: 20,
            image_output_tokens: number,
            ..AttemptUsage::default()
        }),
        usage_source: "provider".to_owned(),
        cost_nano: Some(-5),
        price_version: Some("2026".to_owned()),
        reserved_tokens: None,
    }
}

/// Writes attempts, of which the last has not ended, and lets the process be gone.
pub(super) fn written(folder: &TempDir, attempts: i64) -> PathBuf {
    let (spool, own, _left) = Spool::open(&settings(folder)).unwrap();
    for number in 1..=attempts {
        let intended = spool.intend(&row(number)).unwrap();
        spool.write(intended.end).unwrap();
        if number < attempts {
            let end = spool.settle(intended.sequence, &row(number));
            spool.write(end).unwrap();
        }
    }
    own.path.clone()
}

/// The rows that can be read, those of attempts that have not ended, and the stretches that cannot be read.
fn read(folder: &Path) -> (Vec<AttemptRow>, usize, u64) {
    let mut reader = Reader::of_left(folder.to_owned(), Shipped::default());
    let mut rows = Vec::new();
    while let Some(batch) = reader.read(None).unwrap() {
        rows.extend(batch.rows().map(|row| owned(&row.unwrap())));
        reader.accept(&batch);
    }
    assert!(reader.open().all(|(_, row)| booking::read(row).is_ok()));
    (rows, reader.open().count(), reader.put_aside)
}

fn owned(row: &AttemptRow<&str>) -> AttemptRow {
    AttemptRow {
        attempt_id: row.attempt_id.to_owned(),
        call_id: row.call_id.to_owned(),
        tenant_id: row.tenant_id.to_owned(),
        key_id: row.key_id.to_owned(),
        credential_id: row.credential_id.map(str::to_owned),
        provider: row.provider.to_owned(),
        model_name: row.model_name.to_owned(),
        model: row.model.to_owned(),
        dialect: row.dialect.to_owned(),
        outcome: row.outcome.to_owned(),
        operation: row.operation.to_owned(),
        usage_source: row.usage_source.to_owned(),
        price_version: row.price_version.map(str::to_owned),
        attempt_number: row.attempt_number,
        streamed: row.streamed,
        started_at_ms: row.started_at_ms,
        duration_us: row.duration_us,
        first_byte_us: row.first_byte_us,
        status: row.status,
        usage: row.usage,
        cost_nano: row.cost_nano,
        reserved_tokens: row.reserved_tokens,
    }
}

#[test]
fn what_is_written_comes_back_over_many_segments() {
    let folder = tempfile::tempdir().unwrap();
    let attempts = 100_000;
    let path = written(&folder, attempts);
    assert!(segments(&path).unwrap().len() > 1);
    let begun = std::time::Instant::now();
    let left = Folder::left(&folder.path().join("spool"));
    assert_eq!(left.len(), 1, "its process is gone");
    let (rows, open, put_aside) = read(&path);
    println!("{attempts} attempts read in {:?}", begun.elapsed());
    assert!(rows.iter().zip(1..).all(|(found, number)| *found == row(number)));
    assert_eq!((rows.len(), open, put_aside), (attempts as usize - 1, 1, 0));
}

#[test]
fn what_an_older_program_has_written_can_be_read() {
    let mut bytes = Vec::new();
    booking::write(&row(1), &mut bytes);
    // What came to be counted later stands at the end: that there is more, and two numbers of one byte each.
    let older = &bytes[..bytes.len() - 3];
    let usage = row(1).usage.map(|usage| AttemptUsage {
        cache_write_1h_tokens: 0,
        image_output_tokens: 0,
        ..usage
    });
    let expected = AttemptRow { usage, ..row(1) };
    assert_eq!(booking::read(older).map(|row| owned(&row)), Ok(expected));
}

#[test]
fn a_folder_belongs_to_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let (_spool, own, left) = Spool::open(&settings(&folder)).unwrap();
    assert!(left.is_empty());
    assert!(Folder::take(&own.path).unwrap().is_none(), "it is locked");
    let (_second, other, left) = Spool::open(&settings(&folder)).unwrap();
    assert!(left.is_empty() && other.path != own.path);
    let path = own.path.clone();
    drop(own);
    assert!(Folder::take(&path).unwrap().is_some());
}

#[test]
fn a_torn_end_is_cut_at_the_last_whole_record() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, 3);
    let segment = path.join(segment_name(1));
    let whole = fs::read(&segment).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    let mut last = Vec::new();
    frame::append(&mut last, Kind::Intent, 5, |out| booking::write(&row(3), out));
    assert!(whole[..end + 4].windows(last.len()).any(|bytes| bytes == last));
    let start = whole.windows(last.len()).position(|bytes| bytes == last).unwrap();
    for cut in start..start + last.len() {
        fs::write(&segment, &whole[..cut]).unwrap();
        assert_eq!(read(&path), (vec![row(1), row(2)], 0, 0), "cut at {cut}");
        // The room behind it is there.
        let mut with_room = whole[..cut].to_vec();
        with_room.resize(whole.len(), 0);
        fs::write(&segment, with_room).unwrap();
        assert_eq!(read(&path).0, [row(1), row(2)], "cut at {cut}, with room behind");
    }
}

/// What the disk gives back ends at each record and inside of each, with its room cut off or zeros in it. All before that is
/// read, and nothing else; and no units go back by what may lack that they were used.
#[test]
fn a_spool_that_ends_anywhere_is_read_to_there() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, own, _) = Spool::open(&settings(&folder)).unwrap();
    spool.append_units(Units::Whole(b"all")).unwrap();
    for number in 1..=6 {
        let intended = spool.intend(&row(number)).unwrap();
        spool.append_units(Units::Change(b"used")).unwrap();
        let end = spool.settle(intended.sequence, &row(number));
        spool.write(end).unwrap();
    }
    let segment = own.path.join(segment_name(1));
    drop((spool, own));
    let whole = fs::read(&segment).unwrap();
    let (mut at, mut seen) = (0, Vec::new());
    while let frame::Found::Record(record) = frame::find(&whole[at..]) {
        seen.push((at, record.kind));
        at += record.length;
    }
    assert_eq!(seen.len(), 19);
    for (number, (start, _)) in seen.iter().enumerate() {
        let kinds = |kind| seen[..number].iter().filter(|(_, one)| *one == kind).count();
        let (settled, intended) = (kinds(Kind::Settle), kinds(Kind::Intent));
        for inside in [0, 1, 4, 12, 16] {
            let cut = start + inside;
            let mut zeroed = whole[..cut].to_vec();
            zeroed.resize(whole.len(), 0);
            for (bytes, has_room) in [(&whole[..cut], false), (&zeroed[..], true)] {
                fs::write(&segment, bytes).unwrap();
                let left = Folder::left(&folder.path().join("spool"));
                assert_eq!(left.len(), 1);
                let mut told = 0;
                Spool::units_left(&left, |_, _| told += 1);
                let (rows, open, put_aside) = read(&left[0].path);
                let expected: Vec<AttemptRow> = (1..).take(settled).map(row).collect();
                assert_eq!(rows, expected, "cut at {cut}, {has_room}");
                assert_eq!(
                    (open, put_aside),
                    (intended - settled, 0),
                    "cut at {cut}, {has_room}"
                );
                // Zeros in place of whole records look like room in which nothing was ever written. It takes a disk that loses
                // what it had taken, while the machine goes on.
                let looks_whole = has_room && whole[*start..cut].iter().all(|byte| *byte == 0);
                assert_eq!(told > 0, looks_whole && number > 0, "cut at {cut}, {has_room}");
            }
        }
    }
}

#[test]
fn a_flipped_byte_costs_one_record_and_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, 40);
    let segment = path.join(segment_name(1));
    let mut whole = fs::read(&segment).unwrap();
    let end = whole.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    whole.truncate(end + 4_096);
    // Whatever the last record is, that one may be taken for a torn end.
    let mut chance = 0x9E37_79B9_7F4A_7C15_u64;
    for _ in 0..1_000 {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        let (at, flip) = ((chance % end as u64) as usize, (chance >> 40) as u8 | 1);
        let mut bad = whole.clone();
        bad[at] ^= flip;
        fs::write(&segment, &bad).unwrap();
        let (rows, open, put_aside) = read(&path);
        // An INTENT that is lost has its SETTLE; a SETTLE that is lost leaves its INTENT.
        assert!(rows.len() >= 38, "{at}: {} rows", rows.len());
        assert_eq!(
            rows.len() + open + usize::from(rows.len() + open == 39),
            40,
            "at {at}"
        );
        assert!(
            put_aside == 1 || (put_aside == 0 && open + rows.len() == 39),
            "at {at}"
        );
        assert!(rows.iter().all(|found| *found == row(found.attempt_number)));
        for entry in fs::read_dir(&path).unwrap().flatten() {
            if entry.file_name().to_string_lossy().starts_with("unreadable-") {
                assert!(entry.metadata().unwrap().len() > 0);
                fs::remove_file(entry.path()).unwrap();
            }
        }
    }
}

#[test]
fn what_is_shipped_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = written(&folder, 2_500);
    let mut taken = Folder::take(&path).unwrap().unwrap();
    let mut reader = Reader::of_left(path.clone(), taken.cursor.shipped);
    let batch = reader.read(None).unwrap().unwrap();
    let first = batch.rows().count();
    reader.accept(&batch);
    taken.cursor.set(reader.shipped());
    drop(taken);
    let taken = Folder::take(&path).unwrap().unwrap();
    let mut again = Reader::of_left(path, taken.cursor.shipped);
    let mut rows = Vec::new();
    while let Some(batch) = again.read(None).unwrap() {
        rows.extend(batch.rows().map(|row| row.unwrap().attempt_number));
        again.accept(&batch);
    }
    assert_eq!(rows, (first as i64 + 1..2_500).collect::<Vec<_>>());
    assert_eq!(again.open().count(), 1);
}

#[test]
fn units_are_told_from_where_all_were_told() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, own, _) = Spool::open(&settings(&folder)).unwrap();
    spool.append_units(Units::Change(b"early")).unwrap();
    spool.append_units(Units::Whole(b"all")).unwrap();
    let intended = spool.intend(&row(1)).unwrap();
    spool.append_units(Units::Change(b"beside an intent")).unwrap();
    let end = spool.settle(intended.sequence, &row(1));
    spool.write(end).unwrap();
    let mut reader = Reader::of_living(own.path.clone(), own.cursor.shipped);
    while let Some(batch) = reader.read(Some(spool.end())).unwrap() {
        reader.accept(&batch);
    }
    let mut own = own;
    own.cursor.set(reader.shipped());
    spool.append_units(Units::Change(b"late")).unwrap();
    drop(own);
    let mut told = Vec::new();
    let left = Folder::left(&folder.path().join("spool"));
    Spool::units_left(&left, |_, units| told.push(format!("{units:?}")));
    let expected = [
        Units::Whole(b"all"),
        Units::Change(b"beside an intent"),
        Units::Change(b"late"),
    ];
    assert_eq!(told, expected.map(|units| format!("{units:?}")));
}

#[test]
fn one_write_does_for_all_that_was_put_down() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, own, _) = Spool::open(&settings(&folder)).unwrap();
    let first = spool.intend(&row(1)).unwrap();
    let second = spool.intend(&row(2)).unwrap();
    assert_eq!(read(&own.path).1, 0, "nothing is written yet");
    spool.write(first.end).unwrap();
    assert_eq!(read(&own.path).1, 2);
    let end = spool.settle(second.sequence, &row(2));
    spool.write(second.end).unwrap();
    assert_eq!(
        read(&own.path).1,
        2,
        "that was written before, so this asks for no write"
    );
    spool.write(end).unwrap();
    assert_eq!(read(&own.path).0.len(), 1);
}

#[test]
fn what_is_withdrawn_leaves_nothing_whether_it_was_written_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, own, _) = Spool::open(&settings(&folder)).unwrap();
    let written = spool.intend(&row(1)).unwrap();
    spool.write(written.end).unwrap();
    let other = spool.intend(&row(2)).unwrap();
    let unwritten = spool.intend(&row(3)).unwrap();
    spool.withdraw(unwritten.sequence);
    spool.withdraw(written.sequence);
    assert_eq!(spool.waiting(), 0, "nothing is to be shipped of them");
    let end = spool.settle(other.sequence, &row(2));
    spool.write(end).unwrap();
    assert_eq!(read(&own.path), (vec![row(2)], 0, 0));
}

#[test]
fn what_is_put_down_when_the_spool_is_closed_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (spool, own, _) = Spool::open(&settings(&folder)).unwrap();
    let intended = spool.intend(&row(1)).unwrap();
    let _end = spool.settle(intended.sequence, &row(1));
    spool.close();
    assert_eq!(read(&own.path).0.len(), 1);
}

#[test]
fn with_all_room_taken_nothing_is_intended_but_what_was_is_settled() {
    let folder = tempfile::tempdir().unwrap();
    let small = SpoolSettings {
        bytes_max: 1 << 20,
        ..settings(&folder)
    };
    let (spool, _own, _) = Spool::open(&small).unwrap();
    let first = spool.intend(&row(1)).unwrap();
    spool.write(first.end).unwrap();
    let mut intended = 1;
    while let Ok(next) = spool.intend(&row(2))
        && spool.write(next.end).is_ok()
    {
        intended += 1;
        assert!(intended < 1_000_000, "never full");
    }
    assert!(!spool.is_well());
    let end = spool.settle(first.sequence, &row(1));
    assert!(spool.write(end).is_err());
    assert!(spool.intend(&row(3)).is_err());
}
