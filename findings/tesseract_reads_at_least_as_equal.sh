#!/usr/bin/env bash
# Tesseract's English models read "≥" as "=", "±" as "+" and "µmol" as "pmol", and are sure of it.
#
# Packages: tesserocr 2.13.0 (Tesseract 5.5.4), @tesseract.js-data/eng 1.0.0 (both of its models), pillow 11.3.0; the
# letters are those of DejaVu Sans, from matplotlib 3.10.7.
# Expected: a confidence is there to tell doubtful words from sure ones (tessdoc, "Improving the quality of the output").
# A sign that a model does not know should come with a low one, or as a character that says so.
# Seen: the line with "≥ 140" comes as "= 140" with the confidence of the line that really says "> 140"; "± 5" comes as
# "+ 5", and "97 µmol/l" as "97 pmol/l", a millionth of it. The signs are not in the models' character set.
# Control: the same line with ">", which the models know, is read as it is.
# Consequence: in a recognised medical record a limit turns into a value, with nothing to filter by. Count such signs and
# have somebody look at the page.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/pip -q install --disable-pip-version-check tesserocr==2.13.0 pillow==11.3.0
env/bin/pip -q download --disable-pip-version-check --no-deps matplotlib==3.10.7 -d fonts
npm pack --silent @tesseract.js-data/eng@1.0.0 >/dev/null
tar xzf tesseract.js-data-eng-1.0.0.tgz
for model in 4.0.0 4.0.0_best_int; do
  mkdir "$model"
  gunzip -c "package/$model/eng.traineddata.gz" >"$model/eng.traineddata"
done
cat >look.py <<'PY'
import glob
import sys
import zipfile

import tesserocr
from PIL import Image, ImageDraw, ImageFont
from tesserocr import OEM, PSM, RIL, PyTessBaseAPI, iterate_level

letters = zipfile.ZipFile(glob.glob("fonts/*.whl")[0]).open("matplotlib/mpl-data/fonts/ttf/DejaVuSans.ttf")
font = ImageFont.truetype(letters, 44)
written = ["Systolic pressure > 140 mmHg", "Systolic pressure \u2265 140 mmHg", "Dose \u00b1 5 mg daily",
           "Creatinine 97 \u00b5mol/l"]
seen_before = ["Systolic pressure > 140 mmHg", "Systolic pressure = 140 mmHg", "Dose + 5 mg daily",
               "Creatinine 97 pmol/l"]
page = Image.new("L", (1600, 420), 255)
for number, text in enumerate(written):
    ImageDraw.Draw(page).text((60, 40 + 90 * number), text, font=font, fill=0)
print("Tesseract", tesserocr.tesseract_version().split()[1])
same = True
for model in ("4.0.0", "4.0.0_best_int"):
    with PyTessBaseAPI(path=model, lang="eng", oem=OEM.LSTM_ONLY, psm=PSM.SINGLE_BLOCK) as api:
        api.SetImage(page)
        api.SetSourceResolution(300)
        api.Recognize()
        read = [(line.GetUTF8Text(RIL.TEXTLINE).strip(), round(line.Confidence(RIL.TEXTLINE)))
                for line in iterate_level(api.GetIterator(), RIL.TEXTLINE)]
    print("model", model)
    for text, (got, confidence) in zip(written, read):
        print(f"  written {text!r:40} read {got!r:40} confidence {confidence}")
    same = same and [got for got, _ in read] == seen_before and read[1][1] >= read[0][1] - 2
sys.exit(0 if same else 1)
PY
env/bin/python look.py
