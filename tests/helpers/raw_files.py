"""Tiny raw files of every registered data set, in the form in which it is published."""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from sound_files import tone, write_sphere, write_wav

from unbraid.data.sets import fsdd, sprites
from unbraid.data.sets.physionet2012.records import FEATURES as VITAL_SIGNS

# ---- Beijing air quality --------------------------------------------------------------------------------


AIR_QUALITY_HEADER = "No,year,month,day,hour,PM2.5,PM10,SO2,NO2,CO,O3,TEMP,PRES,DEWP,RAIN,wd,WSPM,station"


def air_quality_lines(station, start="2014-12-01", end="2016-03-01"):
    """Hours of one station; PM2.5 is the day of the month, TEMP the hour, RAIN 2 mm in hour 5."""
    times = np.arange(np.datetime64(start, "h"), np.datetime64(end, "h")).tolist()
    return [AIR_QUALITY_HEADER] + [
        f"{n},{t.year},{t.month},{t.day},{t.hour},{t.day},1,1,1,1,1,{t.hour},1,1,{2 if t.hour == 5 else 0},NW,"
        f"{len(station)},{station}"
        for n, t in enumerate(times, 1)
    ]


def write_air_quality(folder, stations):
    folder.mkdir(parents=True, exist_ok=True)
    for station in stations:
        path = folder / f"PRSA_Data_{station}_20130301-20170228.csv"
        path.write_text("\n".join(air_quality_lines(station)) + "\n")
    return folder


# ---- ETTh1 ----------------------------------------------------------------------------------------------

ETTH1_HEADER = "date,HUFL,HULL,MUFL,MULL,LUFL,LULL,OT"


def etth1_text():
    """The published hours; HUFL is the number of the hour, OT the number of the day."""
    times = np.datetime64("2016-07-01", "s") + np.arange(17420) * np.timedelta64(1, "h")
    rows = [f"{str(t).replace('T', ' ')},{n},1,2,{n % 24},4,5,{n // 24}" for n, t in enumerate(times)]
    return "\n".join([ETTH1_HEADER, *rows]) + "\n"


def write_etth1(folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ETTh1.csv").write_text(etth1_text())
    return folder


# ---- PhysioNet 2012 -------------------------------------------------------------------------------------


def record(number, hours=47, icu_type=2, extra=()):
    """A record with every feature once an hour, its value told by hour and feature."""
    lines = ["Time,Parameter,Value", f"00:00,RecordID,{number}", f"00:00,ICUType,{icu_type}", "00:00,Age,54"]
    for hour in range(hours + 1):
        lines += [f"{hour:02}:07,{name},{30 + hour / 10}" for name in VITAL_SIGNS]
    return "\n".join([*lines, *extra]) + "\n"


def write_physionet2012(folder, records, deaths=None):
    (folder / "set-a").mkdir(parents=True)
    for number, text in records.items():
        (folder / "set-a" / f"{number}.txt").write_text(text)
    rows = [f"{number},6,1,5,-1,{int(number) % 2}" for number in deaths or records]
    header = "RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death"
    (folder / "Outcomes-a.txt").write_text("\n".join([header, *rows]) + "\n")
    return folder


def write_ten_stays(folder):
    return write_physionet2012(folder, {str(100 + n): record(100 + n, icu_type=1 + n % 4) for n in range(10)})


# ---- Sprites --------------------------------------------------------------------------------------------


def write_sprites(folder):
    """Sheets whose every cell tells its layer, variant, row and column, and that overlap where it matters."""
    for name in sprites.SHEETS:
        layer, variant = name.removesuffix(".png").split("/")
        sheet = np.zeros((1344, 832, 4), np.uint8)
        top = {"body": 0, "bottomwear": 16, "topwear": 32, "hair": 48, "shoes": 60}[layer]
        for row in range(21):
            for column in range(13):
                cell = sheet[row * 64 : row * 64 + 64, column * 64 : column * 64 + 64]
                cell[top : top + 16] = (10 * row, 10 * column, 40 * int(variant), 255)
                if layer == "topwear":
                    cell[0:2] = (200, 100, 50, 128)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(sheet).save(path)
    return folder


# ---- Free Spoken Digit Dataset --------------------------------------------------------------------------

FSDD_INDICES = (3, 7, 10)  # one of each split: test, validation, train


def fsdd_pitch(speaker, digit):
    return 100 + 20 * fsdd.SPEAKERS.index(speaker) + 3 * digit


def write_fsdd(folder, speakers=fsdd.SPEAKERS, digits=(0, 1), indices=FSDD_INDICES):
    for place, speaker in enumerate(speakers):
        for digit in digits:
            for index in indices:
                # 10 + 16 frames and more: some too short for a segment, most for one and a rest
                samples = tone(fsdd_pitch(speaker, digit), 80 * (12 + 6 * place + digit) + 120)
                write_wav(folder / f"{digit}_{speaker}_{index}.wav", samples)
    return folder


# ---- Jester ---------------------------------------------------------------------------------------------

GESTURES = ("Swiping Left", "Thumb Up", "No gesture")
CLIPS = {"train": 10, "validation": 4, "test": 2}


def write_jester(root, frames=9):
    """Folders of JPG frames and lists; frame t of clip n is grey of 10 t, its left edge as bright as n."""
    number = 0
    for name, count in CLIPS.items():
        lines = []
        for _ in range(count):
            number += 1
            folder = root / "20bn-jester-v1" / str(number)
            folder.mkdir(parents=True)
            for t in range(frames):
                frame = np.full((100, 176), 10 * t, np.uint8)
                frame[:, :22] = 15 * number
                Image.fromarray(frame).convert("RGB").save(folder / f"{t + 1:05d}.jpg", quality=95)
            lines.append(str(number) if name == "test" else f"{number};{GESTURES[number % 3]}")
        (root / f"jester-v1-{name}.csv").write_text("\n".join(lines) + "\n")
    (root / "jester-v1-labels.csv").write_text("\n".join(GESTURES) + "\n")
    return root


# ---- MUG ------------------------------------------------------------------------------------------------

SUBJECTS = ("001", "002", "010")
SKINS = {"001": (215, 180, 155), "002": (235, 205, 180), "010": (190, 150, 120)}


def face(centre, radius, skin, open_mouth=0.0):
    """A drawn face that the Haar cascade finds, on grey."""
    x, y = centre
    r = radius
    image = Image.new("RGB", (160, 120), (90, 100, 110))
    pen = ImageDraw.Draw(image)
    pen.ellipse((x - r * 0.8, y - r * 1.1, x + r * 0.8, y + r * 1.1), fill=skin)
    pen.pieslice((x - r * 0.85, y - r * 1.2, x + r * 0.85, y + r * 0.2), 180, 360, fill=(60, 40, 30))
    pen.ellipse((x - r * 0.72, y - r * 0.75, x + r * 0.72, y + r * 0.6), fill=skin)
    for side in (-1, 1):
        across, down = x + side * r * 0.32, y - r * 0.15
        for wide, high, colour in ((0.22, 0.16, (150, 110, 95)), (0.08, 0.08, (20, 20, 20))):
            box = (across - r * wide, down - r * high, across + r * wide, down + r * high)
            pen.ellipse(box, fill=colour)
        brow = (across - r * 0.2, down - r * 0.28, across + r * 0.2, down - r * 0.2)
        pen.rectangle(brow, fill=(50, 30, 20))
    pen.polygon([(x, y - r * 0.1), (x - r * 0.13, y + r * 0.28), (x + r * 0.13, y + r * 0.28)], fill=skin)
    mouth = (x - r * 0.3, y + r * (0.45 - open_mouth), x + r * 0.3, y + r * (0.58 + open_mouth))
    pen.ellipse(mouth, fill=(140, 50, 50))
    return image.filter(ImageFilter.GaussianBlur(1))


def write_take(folder, pictures):
    folder.mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(folder / f"img_{number:04d}.jpg", quality=95)


def write_mug(root):
    """Three people, two expressions, one with sessions and one without; and a neutral take."""
    for place, subject in enumerate(SUBJECTS):
        for expression in ("anger", "surprise"):
            middle = root / subject / "session0" if subject == "002" else root / subject
            where = (60 + 15 * place, 60)
            frames = [
                face(where, 34, SKINS[subject], 0.1 * (t / 32) * (expression == "surprise"))
                for t in range(32)
            ]
            write_take(middle / expression / "take000", frames)
        write_take(root / subject / "neutral" / "take000", [face((80, 60), 34, SKINS[subject])])
    return root


# ---- TIMIT ----------------------------------------------------------------------------------------------

TESTED, VALIDATED, UNUSED = ("mdab0", "felc0"), ("faks0", "mgwt0"), ("mxyz0",)
TRAINED = ("fcjf0", "mdac0", "mtjs0")
SENTENCES = ("sa1", "sa2", "si1027", "si648", "sx127", "sx217")


def timit_paths():
    for speakers, usage in ((TRAINED, "train"), ((*TESTED, *VALIDATED, *UNUSED), "test")):
        for place, speaker in enumerate(speakers):
            yield from (f"{usage}/dr{1 + place}/{speaker}/{sentence}.wav" for sentence in SENTENCES)


def write_timit(folder, capitals=True, riff=False, both=False):
    """TIMIT's tree in small, with the other files that lie beside the recordings."""
    for number, name in enumerate(timit_paths()):
        name = name.upper() if capitals else name
        samples = tone(100 + 5 * number, 480 * (8 + number % 7) + 240, 16000)
        (write_wav if riff else write_sphere)(folder / name, samples, 16000)
        if both:
            write_wav(folder / f"{name}.wav", 0.5 * samples, 16000)
        (folder / name).with_suffix(".PHN").write_text("0 100 h#\n")
    (folder / "README.DOC").write_text("TIMIT")
    return folder


# ---- LibriSpeech ----------------------------------------------------------------------------------------

READERS = {"dev-clean": (84, 174, 251, 422, 652, 777, 1272, 1462, 1673, 1919), "test-clean": (61, 121, 237)}
"""Of dev-clean, speakers 652 and 1919 validate: every fifth."""


def write_librispeech(folder, table=True):
    """LibriSpeech's tree in small: two chapters of each speaker, two utterances of each chapter, their transcripts."""
    import soundfile

    lines = ["; LibriSpeech speakers", ";ID  |SEX| SUBSET           |MINUTES| NAME"]
    for source, speakers in READERS.items():
        for number, speaker in enumerate(speakers):
            lines.append(f"{speaker:<5}| {'FM'[number % 2]} | {source:<16} | 8.00  | Reader {speaker}")
            for chapter in (1000 + speaker, 2000 + speaker):
                place = folder / source / str(speaker) / str(chapter)
                place.mkdir(parents=True)
                for utterance in range(2):
                    samples = tone(90 + 9 * number + utterance, 160 * (45 + 10 * utterance) + 240, 16000)
                    soundfile.write(place / f"{speaker}-{chapter}-{utterance:04d}.flac", samples, 16000)
                (place / f"{speaker}-{chapter}.trans.txt").write_text("TEXT")
    if table:
        (folder / "SPEAKERS.TXT").write_text("\n".join(lines) + "\n")
    return folder


# ---- UCR and UEA archives -------------------------------------------------------------------------------


def write_ts(path, lines, classes="1 2"):
    """A `.ts` file; `lines` are its series as text."""
    header = [
        "# made up",
        f"@problemName {path.stem}",
        "@timeStamps false",
        f"@classLabel true {classes}",
        "@data",
    ]
    path.write_text("\n".join([*header, *lines]) + "\n")


def write_ucr(folder):
    """A problem of GunPoint's shape: two classes, 150 steps, every value tells its series."""
    folder.mkdir(parents=True, exist_ok=True)
    for part, count in (("TRAIN", 10), ("TEST", 6)):
        series = np.arange(count)[:, None] + np.sin(np.arange(150) / 9)
        lines = [f"{','.join(map(repr, row.tolist()))}:{1 + number % 2}" for number, row in enumerate(series)]
        write_ts(folder / f"GunPoint_{part}.ts", lines)
    return folder
