# /// script
# requires-python = ">=3.11"
# dependencies = ["fpdf2==2.8.9", "numpy==2.4.6", "pillow==13.0.0"]
# ///
"""Makes the samples and their true text, the same every time.

    uv run make.py [FONTS]        or, with the packages above installed: python3 make.py [FONTS]

FONTS is the folder of Noto Sans CJK and Noto Serif CJK (Debian and Ubuntu: the package fonts-noto-cjk), by default
/usr/share/fonts/opentype/noto. People, firms and numbers are made up.
"""

import random
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy
from fpdf import FPDF
from PIL import Image, ImageDraw, ImageFilter, ImageFont

HERE = Path(__file__).parent
FONTS = Path(sys.argv[1] if len(sys.argv) > 1 else "/usr/share/fonts/opentype/noto")
SIMPLIFIED_CHINESE, MONO_SIMPLIFIED_CHINESE = 2, 7  # places in the collections
CENT = Decimal("0.01")


def write_text(name, lines):
    """The true text: a line for each piece of text that stands alone (a cell of a table, a line of a paragraph)."""
    (HERE / "expected" / name).write_text("\n".join(lines) + "\n", encoding="utf-8")


# The invoice: real text in a PDF, with subsets of the fonts inside.

ITEMS = [
    ("凝胶笔 0.5 毫米", "Gel pen 0.5 mm", 240, "2.80"),
    ("签字笔 1.0 毫米", "Signature pen 1.0 mm", 60, "6.50"),
    ("自动铅笔", "Mechanical pencil", 80, "9.90"),
    ("橡皮擦", "Eraser", 120, "1.50"),
    ("荧光笔套装", "Highlighter set", 45, "18.60"),
    ("白板笔", "Whiteboard marker", 96, "4.20"),
    ("A4 复印纸 80 克", "Copy paper A4 80 g", 50, "24.90"),
    ("A3 复印纸 80 克", "Copy paper A3 80 g", 12, "52.00"),
    ("便利贴 76 × 76", "Sticky notes 76 × 76", 150, "3.75"),
    ("硬面笔记本", "Hardcover notebook", 64, "15.80"),
    ("活页夹", "Ring binder", 40, "21.30"),
    ("文件袋", "Document pouch", 200, "1.95"),
    ("订书机", "Stapler", 18, "32.00"),
    ("订书钉", "Staples", 90, "2.10"),
    ("剪刀", "Scissors", 25, "12.40"),
    ("透明胶带", "Clear tape", 110, "3.30"),
    ("固体胶", "Glue stick", 75, "4.60"),
    ("计算器", "Desk calculator", 14, "68.00"),
    ("印台", "Ink pad", 10, "16.50"),
    ("名片盒", "Card box", 30, "11.20"),
    ("桌面收纳盒", "Desk organizer", 22, "39.90"),
    ("激光笔", "Laser pointer", 6, "89.00"),
    ("投影幕布", "Projection screen", 2, "468.00"),
    ("无线鼠标", "Wireless mouse", 16, "75.50"),
]
ITEMS_ON_FIRST_PAGE = 18
COLUMNS = [
    ("序号", "No.", 20),
    ("品名", "Item", 40),
    ("说明", "Description", 44),
    ("数量", "Qty", 18),
    ("单价", "Price", 24),
    ("金额", "Amount", 28),
]


def money(amount):
    return f"{amount.quantize(CENT):,}"


def in_words(amount):
    """An amount of less than ten million as Chinese invoices spell it out."""
    digits, units = "零壹贰叁肆伍陆柒捌玖", ["", "拾", "佰", "仟", "万", "拾", "佰"]
    yuan, fen = divmod(int(amount * 100), 100)
    words, zero = "", False
    for place in range(len(str(yuan)) - 1, -1, -1):
        digit = yuan // 10**place % 10
        if digit:
            words += ("零" if zero else "") + digits[digit] + units[place]
        elif place == 4:
            words += "万"
        zero = digit == 0
    jiao, fen = divmod(fen, 10)
    if jiao == fen == 0:
        return words + "元整"
    return words + "元" + (f"{digits[jiao]}角" if jiao else "零") + (f"{digits[fen]}分" if fen else "整")


class Invoice:
    def __init__(self):
        self.text = []
        self.pdf = FPDF(format="A4")
        self.pdf.set_creation_date(datetime(2026, 3, 18, tzinfo=UTC))
        self.pdf.set_title("发票 Invoice CH-2026-00417")
        self.pdf.set_auto_page_break(False)
        for style, file in [("", "NotoSansCJK-Regular.ttc"), ("B", "NotoSansCJK-Bold.ttc")]:
            self.pdf.add_font("noto", style, FONTS / file, collection_font_number=SIMPLIFIED_CHINESE)

    def put(self, x, y, width, text, size=9, style="", align="L"):
        self.pdf.set_font("noto", style, size)
        self.pdf.set_xy(x, y)
        self.pdf.cell(width, 6, text, align=align)
        self.text.append(text)

    def row(self, y, cells, style="", fill=None):
        if fill:
            self.pdf.set_fill_color(*fill)
            self.pdf.rect(18, y, 174, 7.4, style="F")
        x = 18
        for number, (text, (_, _, width)) in enumerate(zip(cells, COLUMNS)):
            self.put(x + 1, y + 0.7, width - 2, text, style=style, align="R" if number > 2 else "L")
            x += width
        self.pdf.set_draw_color(190)
        self.pdf.line(18, y + 7.4, 192, y + 7.4)

    def table(self, y, items):
        self.row(y, [f"{chinese} {english}" for chinese, english, _ in COLUMNS], style="B", fill=(226, 234, 244))
        for number, (chinese, english, quantity, price) in items:
            y += 7.4
            amount = quantity * Decimal(price)
            cells = [str(number), chinese, english, str(quantity), money(Decimal(price)), money(amount)]
            self.row(y, cells, fill=(247, 249, 252) if number % 2 == 0 else None)
        return y + 7.4

    def footer(self, page):
        self.pdf.set_draw_color(120)
        self.pdf.line(18, 280, 192, 280)
        self.put(18, 282, 100, "澄海文具有限公司 · 电话 +86 754 5550 0183", size=8)
        self.put(122, 282, 70, f"第 {page} 页，共 2 页 · Page {page} of 2", size=8, align="R")

    def sum_line(self, y, label, amount, style=""):
        self.put(110, y, 50, label, style=style, align="R", size=10 if style else 9)
        self.put(162, y, 29, amount, style=style, align="R", size=10 if style else 9)


def invoice():
    paper = Invoice()
    numbered = list(enumerate(ITEMS, 1))
    paper.pdf.add_page()
    paper.put(18, 16, 90, "澄海文具有限公司", size=18, style="B")
    paper.put(18, 25, 120, "Chenghai Stationery Co., Ltd.", size=11)
    paper.put(18, 31, 120, "广东省汕头市澄海区文冠路 27 号", size=9)
    paper.put(122, 16, 70, "发票 INVOICE", size=18, style="B", align="R")
    paper.pdf.set_draw_color(40, 80, 140)
    paper.pdf.set_line_width(0.6)
    paper.pdf.line(18, 40, 192, 40)
    paper.pdf.set_line_width(0.2)
    details = [
        ("购买方 Bill to", "发票号码 Invoice No.", "CH-2026-00417"),
        ("北辰设计工作室", "开票日期 Date", "2026-03-18"),
        ("Beichen Design Studio", "付款期限 Due date", "2026-04-17"),
        ("杭州市西湖区古翠路 9 号 4 楼", "币种 Currency", "人民币 CNY"),
    ]
    for line, (left, label, value) in enumerate(details):
        y = 44 + 6.5 * line
        paper.put(18, y, 90, left, style="B" if line == 0 else "")
        paper.put(118, y, 40, label)
        paper.put(158, y, 34, value, align="R")
    end = paper.table(76, numbered[:ITEMS_ON_FIRST_PAGE])
    sums = [quantity * Decimal(price) for _, _, quantity, price in ITEMS]
    paper.sum_line(end + 2, "本页小计 Page subtotal", money(sum(sums[:ITEMS_ON_FIRST_PAGE])))
    paper.footer(1)

    paper.pdf.add_page()
    paper.put(18, 16, 90, "发票 INVOICE CH-2026-00417", size=12, style="B")
    end = paper.table(26, numbered[ITEMS_ON_FIRST_PAGE:])
    net = sum(sums)
    tax = (net * Decimal("0.13")).quantize(CENT)
    paper.sum_line(end + 4, "不含税金额 Net amount", money(net))
    paper.sum_line(end + 11, "增值税 13% VAT 13%", money(tax))
    paper.sum_line(end + 19, "价税合计 Total due", "¥" + money(net + tax), style="B")
    paper.put(18, end + 30, 170, f"大写金额：{in_words(net + tax)}", style="B", size=10)
    for line, text in enumerate(
        [
            "付款信息 Payment details",
            "开户银行：汕头文澜银行澄海支行",
            "Account holder: Chenghai Stationery Co., Ltd.",
            "账号 Account No.: 6200 0000 1234 5678 90",
            "Please quote the invoice number with your transfer.",
            "货物售出后七日内，如有质量问题，凭本发票退换。",
            "Goods may be returned within seven days with this invoice.",
        ]
    ):
        paper.put(18, end + 44 + 7 * line, 170, text, style="B" if line == 0 else "")
    paper.footer(2)
    paper.pdf.output(str(HERE / "invoice.pdf"))
    write_text("invoice.txt", paper.text)


# The others: pixels.


def font(file, number, size):
    return ImageFont.truetype(FONTS / file, size, index=number)


def wrapped(text, face, width):
    """Lines that fit: broken between words, or between any two Chinese characters."""
    lines, line = [], ""
    pieces = text.split(" ") if " " in text else list(text)
    glue = " " if " " in text else ""
    for piece in pieces:
        longer = line + glue + piece if line else piece
        # A line does not begin with a punctuation mark: it hangs over instead.
        if face.getlength(longer) <= width or piece in "，。、；：）":
            line = longer
        else:
            lines.append(line)
            line = piece
    return [*lines, line]


def light(image, seed, darkest):
    """Uneven light: a slope over the page and a little noise of the sensor."""
    values = numpy.asarray(image, dtype=numpy.float32)
    height, width = values.shape[:2]
    slope = numpy.linspace(1, darkest, width)[None, :] * numpy.linspace(1, (1 + darkest) / 2, height)[:, None]
    noise = numpy.random.default_rng(seed).normal(0, 2.2, (height, width))
    shape = (height, width) + (1,) * (values.ndim - 2)
    return Image.fromarray((values * slope.reshape(shape) + noise.reshape(shape)).clip(0, 255).astype(numpy.uint8))


def receipt():
    """A thermal receipt: 80 mm at 203 dpi are 576 dots; worn in stripes, a little crooked, on a dark table."""
    goods = [("龙井茶 50g", "1", "38.00"), ("小笼包 8只", "2", "36.00"), ("Oat milk latte", "1", "26.00"), ("桂花糕", "3", "27.00")]
    mono, bold = font("NotoSansCJK-Regular.ttc", MONO_SIMPLIFIED_CHINESE, 24), font("NotoSansCJK-Bold.ttc", SIMPLIFIED_CHINESE, 38)
    paper = Image.new("L", (576, 940), 250)
    draw, text, y = ImageDraw.Draw(paper), [], 30

    def put(content, x, anchor, face=mono):
        draw.text((x, y), content, font=face, fill=25, anchor=anchor)
        text.append(content)

    for content, face, step in [("湖滨茶点铺", bold, 58), ("Lakeside Tea House", mono, 36), ("杭州市上城区湖滨路 88 号", mono, 36), ("Tel 0571-5550-0126", mono, 56)]:
        put(content, 288, "ma", face)
        y += step
    for left, right in [("单号 No. 260318-0073", "桌号 12"), ("2026-03-18 14:32", "收银 003")]:
        put(left, 24, "la")
        put(right, 552, "ra")
        y += 38
    draw.line((24, y + 8, 552, y + 8), fill=60, width=2)
    y += 22
    for name, count, price in [("品名 Item", "数量 Qty", "金额"), *goods]:
        put(name, 24, "la")
        put(count, 370, "ra")
        put(price, 552, "ra")
        y += 42
    draw.line((24, y + 6, 552, y + 6), fill=60, width=2)
    y += 22
    for left, right, face, step in [("合计 Total", "¥127.00", bold, 62), ("银行卡 Bank card", "127.00", mono, 40), ("找零 Change", "0.00", mono, 64)]:
        put(left, 24, "la", face)
        put(right, 552, "ra", face)
        y += step
    for content in ["谢谢惠顾，欢迎再次光临！", "Thank you and see you soon!"]:
        put(content, 288, "ma")
        y += 40
    worn = numpy.random.default_rng(7).uniform(0.72, 1.0, 576)
    worn = numpy.convolve(worn, numpy.ones(9) / 9, mode="same")
    values = 255 - (255 - numpy.asarray(paper, dtype=numpy.float32)) * worn[None, :]
    paper = Image.fromarray(values.astype(numpy.uint8)).filter(ImageFilter.GaussianBlur(0.6))
    table = Image.new("L", (700, 1060), 70)
    table.paste(paper, (62, 60))
    table = table.rotate(1.2, resample=Image.Resampling.BICUBIC, fillcolor=70)
    # Fewer grays, so that the noise does not make the file large.
    light(table, 11, 0.86).point(lambda value: value // 6 * 6 + 3).save(HERE / "receipt.png", optimize=True)
    write_text("receipt.txt", text)


def letter():
    """A letter, photographed with the camera on its side: the pixels lie, and EXIF orientation 6 sets them upright."""
    serif = font("NotoSerifCJK-Regular.ttc", SIMPLIFIED_CHINESE, 27)
    page = Image.new("RGB", (1240, 1754), (250, 247, 240))
    draw, text, y = ImageDraw.Draw(page), [], 150
    paragraphs = [
        ["Orchard House Press", "14 Mill Lane, Ludlow", "9 March 2026"],
        ["Dear Ms. Lindqvist,"],
        "Thank you for sending us the manuscript of your second book. Two of our readers have now finished it, and both came back with the same request: they would like to know what became of the lighthouse keeper.",
        "We should be glad to publish the book next spring. Our usual terms are a first printing of 3,500 copies, a royalty of 12.5 percent, and proofs within eight weeks of signing. The drawings in chapters 4 and 11 would be printed in two colors.",
        "There is one more thing. The title has been used before, by a cookbook of 1987, and booksellers are easily confused. Would you think about another one before the end of the month?",
        "If you agree in principle, please telephone Mr. Okafor on 01632 960 417, and he will send you the contract.",
        ["Yours sincerely,"],
        ["Margaret Ashdown", "Editor"],
    ]
    for paragraph in paragraphs:
        for line in paragraph if isinstance(paragraph, list) else wrapped(paragraph, serif, 940):
            draw.text((150, y), line, font=serif, fill=(40, 38, 48))
            text.append(line)
            y += 46
        y += 34
    page = page.rotate(-0.6, resample=Image.Resampling.BICUBIC, fillcolor=(250, 247, 240)).filter(ImageFilter.GaussianBlur(0.5))
    exif = Image.Exif()
    exif[0x0112] = 6
    light(page, 5, 0.8).transpose(Image.Transpose.ROTATE_90).save(HERE / "letter.jpg", quality=82, exif=exif)
    write_text("letter.txt", text)


def scan():
    """Two pages out of an office scanner: A4 at 200 dpi, black and white, crooked, with specks; CCITT group 4."""
    pages = [
        (
            "Minutes of the Allotment Society",
            "NotoSerifCJK-Regular.ttc",
            [
                "The society met on Tuesday, 3 February 2026, in the hall behind the library. Nineteen members were present, and four had sent their apologies.",
                "1. The minutes of the November meeting were read and approved without changes.",
                "2. The treasurer reported a balance of £1,284.60. Rents for plots 7, 15 and 22 are still outstanding and will be collected by the end of March.",
                "3. The water tank by the north gate leaks. Mr. Farrow has offered to repair it at the cost of the material, which is about £85. The offer was accepted with thanks.",
                "4. A proposal to keep bees on plot 31 was discussed at length. It was agreed to ask the neighbors first and to vote in April.",
                "5. The seed exchange will be held on Saturday, 14 March, from 10:00 to 12:30. Members are asked to label their seeds with name and year.",
                "There being no other business, the meeting closed at 20:45.",
            ],
        ),
        (
            "会议纪要",
            "NotoSansCJK-Regular.ttc",
            [
                "时间：2026年2月3日下午3时",
                "地点：图书馆后面的会议室",
                "出席：理事会成员十九人，请假四人",
                "一、会议审议并通过了去年十一月的会议纪要，未作修改。",
                "二、财务负责人报告，账户结余为人民币12,846.00元。第7号、第15号和第22号地块的租金尚未缴纳，将于三月底之前收齐。",
                "三、北门旁边的水箱漏水。方先生愿意按材料成本进行维修，费用约为850元。与会者一致同意，并表示感谢。",
                "四、关于在第31号地块养蜂的提案，会议进行了充分讨论，决定先征求邻居的意见，再于四月投票表决。",
                "五、种子交换活动定于3月14日星期六上午10:00至12:30举行，请各位会员在种子袋上注明品种名称和采集年份。",
                "会议于晚上8时45分结束。",
            ],
        ),
    ]
    images, text = [], []
    for number, (title, file, paragraphs) in enumerate(pages):
        page = Image.new("L", (1654, 2339), 255)
        draw, y = ImageDraw.Draw(page), 220
        heading, body = font(file, SIMPLIFIED_CHINESE, 54), font(file, SIMPLIFIED_CHINESE, 34)
        draw.text((200, y), title, font=heading, fill=0)
        text.append(title)
        y += 130
        for paragraph in paragraphs:
            for line in wrapped(paragraph, body, 1250):
                draw.text((200, y), line, font=body, fill=0)
                text.append(line)
                y += 58
            y += 26
        page = page.rotate([0.4, -0.3][number], resample=Image.Resampling.BICUBIC, fillcolor=255)
        specks = random.Random(number)
        draw = ImageDraw.Draw(page)
        for _ in range(350):
            x, y = specks.randrange(1650), specks.randrange(2335)
            draw.rectangle((x, y, x + specks.randrange(2), y + specks.randrange(2)), fill=0)
        noise = numpy.random.default_rng(number).normal(0, 28, (2339, 1654))
        images.append(Image.fromarray(numpy.asarray(page) + noise > 140))
    options = {"compression": "group4", "dpi": (200, 200)}
    images[0].save(HERE / "scan.tiff", save_all=True, append_images=images[1:], **options)
    write_text("scan.txt", text)


(HERE / "expected").mkdir(exist_ok=True)
invoice()
receipt()
letter()
scan()
