//! Posts in other languages: mixed in, because real feeds are.

use super::phrases::Mood;

/// A language and its statements; `{s}` stands for the subject.
#[derive(Debug, Clone, Copy)]
pub(super) struct Language {
    pub tag: &'static str,
    negative: &'static [&'static str],
    neutral: &'static [&'static str],
    positive: &'static [&'static str],
}

impl Language {
    pub(super) fn statements(&self, mood: Mood) -> &'static [&'static str] {
        match mood {
            Mood::Negative => self.negative,
            Mood::Neutral => self.neutral,
            Mood::Positive => self.positive,
        }
    }
}

pub(super) const LANGUAGES: [Language; 8] = [
    Language {
        tag: "es",
        negative: &[
            "{s} es un desastre, no funciona nada",
            "Otra vez tarde, {s}. Qué vergüenza",
            "Pedí ayuda a {s} y nadie contesta",
        ],
        neutral: &[
            "¿Alguien sabe a qué hora abre {s}?",
            "{s} presenta una versión nueva el jueves",
        ],
        positive: &[
            "Me encanta {s}, todo perfecto",
            "Gracias {s}, ¡un servicio excelente!",
            "{s} me alegró el día",
        ],
    },
    Language {
        tag: "de",
        negative: &[
            "{s} ist einfach kaputt, nie wieder",
            "Zwei Stunden gewartet, danke für nichts, {s}",
            "Furchtbar enttäuscht von {s}",
        ],
        neutral: &[
            "Weiß jemand, wann {s} wieder öffnet?",
            "{s} gibt es jetzt auch in Graz",
        ],
        positive: &[
            "{s} ist großartig, ich bin begeistert",
            "Super Service bei {s}, gerne wieder",
            "Endlich etwas, das funktioniert: {s}",
        ],
    },
    Language {
        tag: "fr",
        negative: &[
            "{s} ne marche plus, quelle honte",
            "Encore en retard, merci {s}...",
            "Très déçue par {s}, je résilie",
        ],
        neutral: &[
            "Quelqu'un a essayé {s} cette semaine ?",
            "{s} annonce une mise à jour pour mardi",
        ],
        positive: &[
            "J'adore {s}, rien à redire",
            "Merci {s} pour l'accueil, c'était parfait",
            "{s} : une très belle surprise",
        ],
    },
    Language {
        tag: "pt",
        negative: &[
            "{s} piorou muito, que raiva",
            "Paguei e não recebi nada, {s}",
        ],
        neutral: &["Alguém já usou {s} no Porto?", "{s} mudou de endereço"],
        positive: &[
            "{s} é maravilhoso, recomendo",
            "Atendimento nota dez, obrigada {s}!",
        ],
    },
    Language {
        tag: "it",
        negative: &[
            "{s} è una delusione totale",
            "Mai più {s}, servizio pessimo",
        ],
        neutral: &["Qualcuno ha provato {s}?", "{s} apre domani in centro"],
        positive: &["{s} è fantastico, complimenti", "Finalmente, grazie {s}!"],
    },
    Language {
        tag: "pl",
        negative: &["{s} znowu nie działa, mam dość", "Fatalna obsługa w {s}"],
        neutral: &["Czy {s} działa w niedzielę?"],
        positive: &["{s} jest świetne, polecam", "Dziękuję {s}, super pomoc!"],
    },
    Language {
        tag: "ja",
        negative: &["{s}がまた壊れた。もう使わない", "{s}のサポートは最悪でした"],
        neutral: &["{s}は木曜日に更新されるそうです"],
        positive: &[
            "{s}は本当に素晴らしい！",
            "{s}のおかげで助かりました。ありがとう",
        ],
    },
    Language {
        tag: "ar",
        negative: &["خدمة {s} سيئة جدا"],
        neutral: &["متى يفتح {s} غدا؟"],
        positive: &["{s} رائع، شكرا لكم"],
    },
];
