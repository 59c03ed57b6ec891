"""Audio: spectrograms, loudness, padding and two labels, by hand."""

import json
import wave

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jax_mixup as jm
from experiments.audio import __main__ as audio
from experiments.audio import train as audio_train
from experiments.audio.train import Clips
from experiments.core.loop import Stop
from experiments.data import spectrogram, spoken
from tests.experiments import pinned
from tests.pages import block, run

pytestmark = pytest.mark.slow  # networks train here

KEY = jax.random.key(0)
HALF = jm.Mix(jm.reverse(), jnp.full(2, 0.5), jnp.full(2, 0.5))


def tone(hertz, n=1280, amplitude=0.5):
    return amplitude * np.sin(2 * np.pi * hertz * np.arange(n) / spoken.RATE)


def test_readme_mixes_as_loud_as_the_labels_say():
    waves = np.zeros((2, 320), np.float32)
    waves[0, :160], waves[1, :80] = tone(400, 160, 0.8), tone(700, 80, 0.01)
    valid = np.arange(320) < np.array([[160], [80]])
    frames = np.arange(8)[None, :, None] < np.array([4, 2])[:, None, None]
    frames = np.broadcast_to(frames, (2, 8, 6))
    names = {"waves": jnp.asarray(waves), "valid": jnp.asarray(valid), "frames": frames}
    names |= {"labels": jnp.array([3, 7]), "spectra": jnp.ones((2, 8, 6))}
    names |= {"key": KEY, "key_pair": jax.random.key(1)}
    found = run(block("jm.balance(mix, level)"), **names)
    lam = np.asarray(found["mix"].lam)
    assert (np.asarray(found["mix"].partner) == [1, 0]).all() and lam[0] != lam[1]
    rms = [np.sqrt((row[:n] ** 2).mean()) for row, n in zip(waves, (160, 80), strict=True)]
    for i, p in ((0, 1), (1, 0)):
        share = 1 / (1 + rms[i] / rms[p] * (1 - lam[i]) / lam[i])
        mixed = share * waves[i] + (1 - share) * waves[p]
        mixed /= np.sqrt(share**2 + (1 - share) ** 2)
        np.testing.assert_allclose(found["waves"][i], mixed, atol=1e-6)
        target = lam[i] * np.eye(10)[[3, 7][i]] + (1 - lam[i]) * np.eye(10)[[3, 7][p]]
        np.testing.assert_allclose(found["targets"][i], target, atol=1e-6)
    assert (np.asarray(found["valid"]) == valid.any(axis=0)).all()
    mask = np.asarray(found["cut"].mask)[0]
    own, other = (mask & frames[0]).sum(), (~mask & frames[1]).sum()
    assert 0 < own and float(found["cut"].lam[0]) == pytest.approx(own / (own + other))


def test_a_quiet_partner_is_heard_only_when_balanced():
    waves = np.stack([tone(500), tone(1500, amplitude=0.005)]).astype(np.float32)
    clips = Clips(jnp.asarray(waves), jnp.ones((2, 8), bool), jnp.eye(10)[:2])
    share = lambda x, hertz: np.abs(np.dot(np.asarray(x), tone(hertz, amplitude=1.0))) / 640
    by_hand = jm.blend(HALF, clips.x)[0]
    assert share(by_hand, 500) > 99 * share(by_hand, 1500) > 0  # and half of the label
    balanced = jm.blend(jm.balance(HALF, audio_train.level(clips)), clips.x)[0]
    assert share(balanced, 500) == pytest.approx(share(balanced, 1500), rel=0.05)
    _, _, targets = jax.jit(audio_train.bc_plus)(KEY, clips)
    assert ((targets > 0) == (jnp.arange(10) < 2)).all()  # of another class, both in the label


def test_log_mel_finds_tones_loudness_and_silence():
    x = np.stack([tone(1000), 2 * tone(1000), tone(3000), 0 * tone(0)])
    found = np.asarray(jax.jit(spectrogram.log_mel)(jnp.asarray(x)))
    assert found.shape == (4, 8, 32)
    mel = lambda hertz: 2595 * np.log10(1 + hertz / 700)
    centres = np.linspace(mel(60), mel(4000), 34)[1:-1]
    for row, hertz in ((0, 1000), (2, 3000)):
        assert (found[row, :7].argmax(axis=1) == np.abs(centres - mel(hertz)).argmin()).all()
    band = found[0, 3].argmax()
    assert found[1, 3, band] - found[0, 3, band] == pytest.approx(np.log(4), abs=1e-3)
    np.testing.assert_allclose(found[3], np.log(1e-6), rtol=1e-6)
    with pytest.raises(ValueError, match=r"1000 samples; it needs a multiple of hop=160"):
        spectrogram.log_mel(jnp.zeros((1, 1000)))


def recordings():
    x = np.zeros((3, 1280), np.int16)
    length = np.array([200, 1280, 1], np.int32)
    for row, n in zip(x, length, strict=True):
        row[:n] = np.arange(1, n + 1)
    return spoken.Recordings(x, length, np.array([1, 2, 3], np.int32), np.zeros(3, np.int32))


def test_shifts_stay_within_the_padding():
    given, starts = recordings(), set()
    for key in jax.random.split(KEY, 6):
        clips = audio_train.place(key, given, 1.0)
        for i, n in enumerate(given.length):
            row = np.rint(np.asarray(clips.x[i]) * 2**15)
            start = int(row.argmax()) - n + 1
            np.testing.assert_array_equal(row[start : start + n], np.arange(1, n + 1))
            assert np.count_nonzero(row) == n
            frames = np.add.reduceat(row, np.arange(0, 1280, 160)) > 0
            np.testing.assert_array_equal(clips.valid[i], frames)
            starts.add((i, start))
    assert len({s for i, s in starts if i == 0}) > 2
    still = audio_train.place(KEY, given, 0.0)
    assert (np.asarray(still.x[:, 0]) > 0).all() and still.valid.sum(axis=1).tolist() == [2, 8, 1]


def test_labels_weigh_what_is_no_padding():
    """A cut into padding takes nothing from the example, and brings nothing of the partner."""
    valid = jnp.arange(8) < jnp.array([[4], [4]])
    clips = Clips(jnp.asarray([tone(500), tone(900)]), valid, jnp.eye(10)[:2])
    mask = jnp.broadcast_to(jnp.arange(8)[:, None] < 4, (1, 8, audio_train.BANDS))
    mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))
    x, where, targets = jax.jit(audio_train.of_spectra)(mix, clips)
    np.testing.assert_array_equal(targets, np.eye(10)[:2])  # the area would say one half
    own, _ = audio_train.features(clips.x, clips.valid)
    np.testing.assert_allclose(x, own, atol=1e-5)
    assert (np.asarray(where) == np.asarray(valid)[:, :, None]).all()


def test_a_cut_that_leaves_nothing_but_padding_is_not_made():
    valid = (jnp.arange(8) < 4) == jnp.array([[True], [False]])  # one sounds, then the other
    clips = Clips(jnp.asarray([tone(500), tone(900)]), valid, jnp.eye(10)[:2])
    mask = jnp.broadcast_to(jnp.arange(8)[:, None] >= 4, (1, 8, audio_train.BANDS))
    mix = jm.Mix(jm.reverse(), mask, lam=jnp.full(2, 0.5))  # the first would have no frame left
    x, where, targets = jax.jit(audio_train.of_spectra)(mix, clips)
    np.testing.assert_array_equal(targets, np.eye(10)[:2])
    np.testing.assert_array_equal(where[:, :, 0], valid)
    model = lambda x, train, tap: tap(4, x).mean((1, 2))
    assert np.isfinite(audio_train.logits(model, x, where, train=False)).all()


def test_valid_is_the_union_and_labels_an_average_or_a_union():
    valid = jnp.arange(8) < jnp.array([[2], [6]])
    labels = jnp.eye(10)[:2] + jnp.eye(10)[5]  # two digits in each clip, one in both
    clips = Clips(jnp.asarray([tone(500), tone(900)]), valid, labels)
    _, where, average = audio_train.of_waves(HALF, clips)
    assert where[:, :, 0].sum(axis=1).tolist() == [6, 6]
    np.testing.assert_allclose(average[0, jnp.array([0, 1, 5])], [0.5, 0.5, 1])
    _, _, union = audio_train.of_waves(HALF, clips, union=True)
    np.testing.assert_array_equal(union, np.asarray(average) > 0)
    alone = jm.Mix(jm.reverse(), jnp.ones(2), jnp.ones(2))  # λ = 1: nothing of the partner
    np.testing.assert_array_equal(audio_train.of_waves(alone, clips, union=True)[2], labels)


def test_two_digits_are_equally_loud():
    clips = Clips(
        jnp.asarray([tone(500), tone(1500, amplitude=0.01)]),
        jnp.ones((2, 8), bool),
        jnp.eye(10)[:2],
    )
    both = audio_train.overlap(KEY, clips)
    np.testing.assert_array_equal(both.targets, np.eye(10)[0] + np.eye(10)[1] + np.zeros((2, 1)))
    for hertz in (500, 1500):
        heard = np.abs(np.asarray(both.x) @ tone(hertz, amplitude=1.0)) / 640
        np.testing.assert_allclose(heard, np.sqrt(2) * audio_train.LOUDNESS, rtol=0.05)


def test_padding_has_no_part_in_the_average():
    valid = np.zeros((2, 16, 24), bool)
    valid[0, :12], valid[1] = True, True
    h = np.random.default_rng(0).normal(size=(2, 2, 3, 5)).astype(np.float32)
    model = lambda x, train, tap: tap(4, tap(1, jnp.asarray(h))).mean((1, 2))
    out = audio_train.logits(model, jnp.zeros((2, 16, 24)), jnp.asarray(valid), train=False)
    by_hand = (h[0] * np.array([1, 0.5])[:, None, None]).sum((0, 1)) / (1.5 * 3)
    np.testing.assert_allclose(out, [by_hand, h[1].mean((0, 1))], rtol=1e-5)


def test_masks_hide_at_most_their_share():
    x = jnp.ones((64, 20, 10))
    assert (audio_train.masked(KEY, x, 0.0) == 1).all()
    hidden = np.asarray(audio_train.masked(KEY, x, 0.3) == 0)
    time, band = hidden.all(axis=2).sum(axis=1), hidden.all(axis=1).sum(axis=1)
    assert time.max() in (5, 6) and band.max() == 3 and time.min() == 0
    assert (hidden == hidden.all(2)[:, :, None] | hidden.all(1)[:, None]).all()


def archive(path, **changes):
    arrays = {
        "waveforms": np.arange(1, 61).astype(np.int16),
        "offsets": np.array([0, 10, 30, 60]),
        "labels": np.array([0, 9, 4], np.uint8),
        "speakers": np.array(["a", "b", "c"]),
    }
    arrays |= changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_recordings_are_padded_and_cut(tmp_path):
    found = spoken.load(archive(tmp_path / "a.npz"), 16)
    assert found.length.tolist() == [10, 16, 16] and found.speaker.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.x[0], [*range(1, 11), *[0] * 6])
    np.testing.assert_array_equal(found.x[2], range(31, 47))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"labels": None}, "labels is not a file"),
        ({"waveforms": np.zeros(60, np.float32)}, r"waveforms float32\[60\]"),
        ({"offsets": np.array([0, 10, 10, 60])}, "no recording may be empty"),
        ({"offsets": np.array([0, 10, 30, 61])}, "up to the samples"),
        ({"offsets": np.array([0, 10, 60])}, "3 offsets, 3 labels"),
        ({"labels": np.array([0, 10, 4])}, "from 0 to 9"),
        ({"labels": np.array([0.0, 1.0, 4.0])}, "labels float64"),
        ({"speakers": np.array(["a"])}, "1 speakers"),
    ],
)
def test_bad_archives_have_one_sentence(tmp_path, changes, says):
    with pytest.raises(Stop, match=says):
        spoken.load(archive(tmp_path / "a.npz", **changes), 16)


def test_no_archive_and_too_few_speakers(tmp_path):
    with pytest.raises(Stop, match=r"Free Spoken Digit Dataset.*waveforms"):
        audio.main(audio.Config(out=tmp_path))
    with pytest.raises(Stop, match=r"cannot use.*missing\.npz"):
        spoken.load(tmp_path / "missing.npz", 16)
    given = spoken.generated(320, takes=1)
    for rows in (given.speaker < 2, np.arange(len(given.y)) > 0):
        with pytest.raises(Stop, match="three or more speakers with equally many"):
            spoken.folds(spoken.Recordings(*(array[rows] for array in given)), range(2))


def test_folds_leave_each_speaker_out_equally_often():
    given = spoken.generated(320, takes=1)
    train, test = spoken.folds(given, range(12))
    left_out = [tuple(np.unique(row)) for row in test.speaker]
    assert len(set(left_out)) == 12  # another pair for each seed
    assert np.bincount(np.ravel(left_out[:6])).tolist() == [2] * 6
    for mine, others in zip(train.speaker, test.speaker, strict=True):
        assert not set(mine) & set(others) and len(mine) + len(others) == len(given.y)


@pytest.mark.slow
def test_smoke(tmp_path):
    assert audio.main(audio.Config(out=tmp_path, smoke=True)) == 0
    pinned.check("audio", tmp_path / "smoke")
    out = tmp_path / "smoke"
    assert {path.name for path in out.iterdir()} == {
        "runs.jsonl", "table.md", "plot.png", "spectra.png", "mixes.wav",
    }  # fmt: skip
    runs = [json.loads(line) for line in (out / "runs.jsonl").read_text().splitlines()]
    assert {(done["group"], done["method"]) for done in runs} == {
        (group, name) for group, names in audio.GROUPS.items() for name in names
    }
    assert "| BC+ |" in (out / "table.md").read_text()
    with wave.open(str(out / "mixes.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 8000, 4 * (1280 + 1600))
        sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(4, -1)
    assert (np.abs(sound.astype(int)).max(axis=1) > 29000).all() and not sound[:, 1280:].any()
