"""Generates sentences in four languages from word lists. Deterministic for a seed.

The sentences have little meaning, but what is hard to recognize: umlauts, accents, digits, amounts, codes, addresses,
brackets.
"""

ENGLISH = {
    "opening": ["The", "Every", "A second", "Each", "No", "This", "That", "Another", "The other", "Neither"],
    "adjective": [
        "annual", "broken", "careful", "distant", "early", "faithful", "generous", "hidden", "invoiced", "joint",
        "known", "local", "marked", "narrow", "ordinary", "printed", "quiet", "revised", "signed", "temporary",
        "unpaid", "visible", "written", "extra", "yellow", "frozen", "half-empty", "well-kept", "double-sided",
        "third-floor",
    ],
    "noun": [
        "agreement", "bridge", "certificate", "delivery", "engine", "folder", "garden", "harbour", "inspector",
        "journal", "kitchen", "library", "machine", "notebook", "office", "passenger", "quarter", "receipt",
        "station", "tenant", "umbrella", "village", "warehouse", "expert", "yard", "zipper", "committee", "orchard",
        "railway", "lighthouse",
    ],
    "verb": [
        "accepts", "borrows", "changes", "delays", "examines", "follows", "gathers", "holds", "improves", "joins",
        "keeps", "loses", "measures", "needs", "opens", "passes", "questions", "repairs", "sells", "turns", "uses",
        "visits", "wraps",
    ],
    "ending": [
        "before noon", "in the winter", "without notice", "for a small fee", "at the lower gate", "as agreed",
        "by letter", "near the old mill", "until further notice", "during the night", "on request", "against payment",
        "with great care", "although nobody asked", "because the price had risen", "while the water was low",
        "after the second reminder",
    ],
}

GERMAN = {
    "opening": ["Das", "Jedes", "Dieses", "Kein", "Unser", "Ein weiteres"],
    "adjective": [
        "geänderte", "frühere", "größte", "mündliche", "nächste", "öffentliche", "tägliche", "übliche", "städtische",
        "gültige", "schöne", "heiße", "weiße", "gekürzte", "gewöhnliche", "ältere", "vollständige", "unterschriebene",
    ],
    "noun": [
        "Gebäude", "Geschäft", "Gespräch", "Büro", "Gerät", "Schloß", "Straßenschild", "Wörterbuch", "Maß", "Gemälde",
        "Rückgaberecht", "Prüfverfahren", "Kündigungsschreiben", "Überweisungsformular", "Jubiläum", "Fernsehgerät",
    ],
    "verb": [
        "betrifft", "benötigt", "erhält", "ergänzt", "ersetzt", "gehört zu", "prüft", "verändert", "schließt", "überprüft",
    ],
    "object": [
        "die Verträge", "fünf Schlüssel", "das übrige Öl", "die Gebühr", "zwölf Körbe", "den Ausweis", "die Äpfel",
        "das Grundstück", "die Überschüsse", "jede Größe", "den Fußweg", "die Lösung", "die Füße", "das Geländer",
    ],
    "ending": [
        "ab März", "für zwölf Monate", "gemäß § 12", "in Köln und Düsseldorf", "bis Größe XL", "außer an Feiertagen",
        "während der Öffnungszeiten", "gegen Gebühr", "zum üblichen Preis", "über Nacht", "ohne Rücksprache",
    ],
}

FRENCH = {
    "opening": ["Le", "Ce", "Un autre", "Chaque", "Notre"],
    "noun": [
        "élève", "hôtel", "reçu", "théâtre", "forêt", "règlement", "dîner", "français", "café", "numéro", "contrôle",
        "dépôt", "garçon", "maître", "naïf", "siècle", "événement", "côté", "âge", "bâtiment", "modèle",
    ],
    "verb": ["précède", "reçoit", "complète", "préfère", "répète", "coûte", "achète", "connaît", "arrête", "espère"],
    "object": [
        "la clé", "les fenêtres", "sa façade", "des pièces", "la tempête", "les légumes", "une leçon",
        "la première étape", "l'été prochain", "les bénéfices", "un goût amer", "la mémoire", "les pâtes",
        "la chaîne",
    ],
    "ending": [
        "à l'étage", "dès février", "en août", "où qu'il soit", "après le marché", "sans réserve", "près de la mairie",
        "malgré le délai", "jusqu'à dix-huit ans", "par écrit", "à côté du musée",
    ],
}

CHINESE = {
    "when": [
        "去年冬天", "每天早晨", "下个星期", "春节以后", "合同到期之前", "雨停的时候", "今年第三季度", "开会期间", "两小时内", "当天下午",
        "收到通知后", "根据规定", "为了安全", "在南方", "从那时起", "由于天气原因", "按照计划", "经过讨论",
    ],
    "who": [
        "王老师", "管理部门", "那家公司", "图书馆", "三位工程师", "当地居民", "火车站", "采购经理", "博物馆", "年轻的画家", "检查人员",
        "客户代表", "老船长", "编辑部", "卖花的姑娘", "研究小组", "医院", "邮递员", "负责人", "邻居",
    ],
    "does": [
        "修改了", "发现了", "准备了", "取消了", "整理好", "运走了", "重新测量", "签收了", "检查过", "保存着", "忘记了", "提高了",
        "公布了", "借走了", "种下了", "打开了", "拆除了", "补充了", "翻译了", "归还了",
    ],
    "what": [
        "全部合同", "一批旧机器", "新的价格表", "仓库的钥匙", "十二箱水果", "桥梁的图纸", "会议记录", "屋顶的窗户", "剩余的货物", "学生名单",
        "地下水管", "蓝色的雨伞", "银行账单", "几棵苹果树", "重要的证据", "铁路时刻表", "绿色油漆", "半年的预算", "质量证书", "一封长信",
        "陶瓷花瓶", "冷冻鱼虾", "蚕丝围巾", "实验数据", "操作说明书", "厨房用具",
    ],
    "ending": ["，并且说明了原因", "，费用由双方承担", "，没有任何损失", "，大家都很满意", "，数量不足", "，以备查验", "，但是没有签字", "", "", ""],
}

GOODS = [
    "Bread", "Butter", "Olive oil", "Green tea", "Coffee", "Rice 5 kg", "Apples", "Soap", "Batteries AA", "Light bulb",
    "Notebook A5", "Pencils HB", "Milk 1.5%", "Honey", "Tomatoes", "Mineral water", "Chocolate", "Paper towels",
    "Shampoo", "Garlic", "Cheese", "Noodles", "Salt", "Pepper", "Orange juice", "Toothbrush", "Envelopes C5",
]
WARES = [
    "面包", "黄油", "橄榄油", "绿茶", "咖啡", "大米五公斤", "苹果", "肥皂", "电池", "灯泡", "笔记本", "铅笔", "牛奶", "蜂蜜", "番茄",
    "矿泉水", "巧克力", "纸巾", "洗发水", "大蒜", "奶酪", "面条", "食盐", "胡椒", "橙汁", "牙刷", "信封", "酱油", "豆腐", "鸡蛋",
]
TOWNS = ["Aberford", "Lindau", "Montreux", "Saint-Malo", "Görlitz", "Besançon", "Utrecht", "Malmö", "Zürich", "Córdoba"]
MONTHS = ["January", "March", "April", "June", "July", "September", "October", "December"]


class Writer:
    """Generates sentences with a random generator."""

    def __init__(self, random):
        self.random = random

    def pick(self, words):
        return self.random.choice(words)

    def number(self, low, high):
        return self.random.randint(low, high)

    def amount(self, low=1, high=99999):
        """Returns an amount with two decimals and thousands separators."""
        return f"{self.number(low, high) + self.number(0, 99) / 100:,.2f}"

    def date(self):
        return f"{self.number(1, 28)} {self.pick(MONTHS)} {self.number(1987, 2031)}"

    def chinese_date(self, since):
        """Returns a date between this year and 2030."""
        return f"{self.number(since, 2030)}年{self.number(1, 12)}月{self.number(1, 28)}日"

    def code(self):
        letters = "".join(self.pick("ABCDEFGHJKLMNPRSTUVWXYZ") for _ in range(self.number(2, 3)))
        return f"{letters}-{self.number(1000, 99999)}"

    def sentence(self, language):
        """Returns a sentence in `language`: en, de, fr or zh."""
        return {"en": self.english, "de": self.german, "fr": self.french, "zh": self.chinese}[language]()

    def sentences(self, language, count):
        """Returns `count` sentences, separated by spaces except in Chinese."""
        return ("" if language == "zh" else " ").join([self.sentence(language) for _ in range(count)])

    def english(self):
        words = {kind: self.pick(choice) for kind, choice in ENGLISH.items()}
        second = f"the {self.pick(ENGLISH['adjective'])} {self.pick(ENGLISH['noun'])}"
        start = f"{words['opening']} {words['adjective']} {words['noun']} {words['verb']} {second}"
        extra = self.random.random()
        if extra < 0.1:
            return f"{start} ({self.code()}) {words['ending']}."
        if extra < 0.2:
            return f"{start} {words['ending']}, on {self.date()}, for {self.pick('$€£')}{self.amount(10)}."
        if extra < 0.26:
            return f'{start}; "{self.pick(ENGLISH["noun"])} {words["ending"]}", as {self.pick(TOWNS)} has it.'
        if extra < 0.32:
            contact = f"{words['noun']}@example.org or call 555-{self.number(1000, 9999)}"
            return f"{start} {words['ending']}: write to {contact}."
        if extra < 0.38:
            share = f"{self.number(2, 98)}.{self.number(0, 9)}% of {self.number(100, 9000)} kg"
            return f"{start} {words['ending']}, which is {share}."
        return f"{start} {words['ending']}."

    def german(self):
        words = {kind: self.pick(choice) for kind, choice in GERMAN.items()}
        extra = f" (Nr. {self.number(10, 9999)})" if self.random.random() < 0.15 else ""
        subject = f"{words['opening']} {words['adjective']} {words['noun']}{extra}"
        return f"{subject} {words['verb']} {words['object']} {words['ending']}."

    def french(self):
        words = {kind: self.pick(choice) for kind, choice in FRENCH.items()}
        extra = f" (n° {self.number(10, 9999)})" if self.random.random() < 0.15 else ""
        return f"{words['opening']} {words['noun']}{extra} {words['verb']} {words['object']} {words['ending']}."

    def chinese(self):
        words = {kind: self.pick(choice) for kind, choice in CHINESE.items()}
        extra = self.random.random()
        if extra < 0.1:
            return f"{self.chinese_date(1990)}，{words['who']}{words['does']}{words['what']}。"
        if extra < 0.2:
            return f"{words['who']}以{self.amount(10)}元的价格{words['does']}{words['what']}{words['ending']}。"
        if extra < 0.28:
            return f"{words['when']}，{words['who']}（编号{self.code()}）{words['does']}{words['what']}{words['ending']}。"
        return f"{words['when']}{words['who']}{words['does']}{words['what']}{words['ending']}。"

    def mixed(self):
        """Returns Chinese with Latin words, digits and units, or with a name in both scripts."""
        word, other = self.pick(ENGLISH["noun"]), self.pick(GERMAN["noun"] + FRENCH["noun"])
        tool = f"{self.pick(CHINESE['who'])}用 {word.title()} {self.number(2, 99)}.{self.number(0, 9)}"
        return self.pick([
            f"{tool} {self.pick(CHINESE['does'])}{self.pick(CHINESE['what'])}，共 {self.number(2, 900)} kg。",
            f"{self.pick(WARES)} / {self.pick(GOODS)} / {other}: {self.amount(1, 900)} EUR",
            f"{self.pick(TOWNS)}, {self.date()} – {self.chinese()}",
            f"{self.german()} {self.pick(CHINESE['what'])}（{word}）",
            f"{self.french()} {self.pick(CHINESE['who'])}：{self.code()}",
            f"型号 {self.code()}，电压 {self.number(3, 400)} V，频率 {self.number(50, 60)} Hz，温度 {self.number(1, 90)} °C",
        ])
