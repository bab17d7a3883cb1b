"""What a timeline says, in English and French: states, the journal's own words, overlays, notes."""

from __future__ import annotations

from vedette.errors import Usage
from vedette.timeline import Note, State

LANGUAGES = ("en", "fr")
# What is said with a number of seconds and a decimal sign; other values are names, and stay as they are written.
_NUMBERS = ("step", "clock_step", "boot_moved")
ROWS = ("muted", "sound", "stealth", "reminder", "camera", "heat", "clock", "place", "signed")

_WORDS: dict[str, tuple[str, str]] = {
    "title": ("What was recorded, and what was not and why", "Ce qui a été enregistré, et ce qui ne l’a pas été"),
    "device": ("Device", "Appareil"),
    "from": ("From", "Du"),
    "to": ("to", "au"),
    "time": ("Time", "Heure"),
    "state": ("State", "État"),
    "length": ("Length", "Durée"),
    "share": ("Share", "Part"),
    "why": ("As the journal says", "Selon le journal"),
    "total": ("In all", "Total"),
    "notes": ("Notes", "Remarques"),
    "legend": ("Legend", "Légende"),
    "recorded_row": ("recorded", "enregistré"),
    "not_recorded_row": ("not recorded", "non enregistré"),
    "marked_row": ("marked", "marqué"),
    "muted": ("muted", "son coupé"),
    "stealth": ("stealth", "discret"),
    "reminder_row": ("reminder", "rappel"),
    "reminded": ("the officer is reminded every {}", "rappel à l’agent toutes les {}"),
    "not_reminded_stealth": ("no reminder: stealth", "pas de rappel : mode discret"),
    "not_reminded_policy": ("no reminder by policy", "pas de rappel selon la règle"),
    "not_reminded_panel": ("no reminder: the panel does not run", "pas de rappel : le panneau ne tourne pas"),
    "sound_row": ("no sound", "sans son"),
    "sound_lost": ("none came", "rien n’est venu"),
    "camera_row": ("camera", "caméra"),
    "heat_row": ("hot", "chaud"),
    "hot_board": ("the board was hot", "la carte était chaude"),
    "rested": ("the camera rested for heat", "la caméra était à l’arrêt pour la chaleur"),
    "clock_row": ("clock", "horloge"),
    "place_row": ("no position", "sans position"),
    "no_fix": ("no fix from satellites", "pas de position par satellite"),
    "button": ("button", "bouton"),
    "unplugged": ("unplugged", "débranchée"),
    "silent": ("no picture yet", "pas encore d’image"),
    "frozen": ("frozen picture", "image figée"),
    "black": ("black picture", "image noire"),
    "blocked": ("blocked lens", "objectif masqué"),
    "exposure": ("wrong exposure", "exposition mauvaise"),
    "remote": ("remote", "à distance"),
    "key_trusted": ("lines verified against key", "lignes vérifiées avec la clé"),
    "unexplained": ("unexplained", "inexpliqué"),
    "nothing_unexplained": ("Every second is accounted for.", "Chaque seconde est expliquée."),
    "some_unexplained": ("NOT ACCOUNTED FOR: {}.", "NON EXPLIQUÉ : {}."),
    "proven": (
        "Recorded time is proven to its last checkpoint, one a second; state changes are known to a second.",
        "Le temps enregistré est prouvé jusqu’au dernier point de contrôle, un par seconde ; un changement d’état est"
        " connu à une seconde près.",
    ),
    "recorded": ("recorded", "enregistré"),
    "retained": ("kept, nobody asked", "gardé sans demande"),
    "ring_kept": ("sealed on the device by policy, not sent", "chiffré sur l’appareil selon la règle, non envoyé"),
    "ring_evicted": (
        "sealed on the device by policy, never sent, deleted since",
        "chiffré sur l’appareil selon la règle, jamais envoyé, supprimé depuis",
    ),
    "ring_claimed": ("recovery {} of what nobody had activated", "récupération {} de ce que personne n’avait activé"),
    "activation": ("an activation", "une activation"),
    "standby": ("standby by policy", "veille selon la règle"),
    "asleep": ("asleep", "en sommeil"),
    "off": ("off", "éteint"),
    "starting": ("starting", "démarrage"),
    "restarted": ("service restarted", "service relancé"),
    "power_lost": ("power lost", "coupure de courant"),
    "camera": ("camera fault", "défaut de caméra"),
    "full": ("disk full", "disque plein"),
    "disk": ("disk fault", "défaut de disque"),
    "thermal": ("too hot", "surchauffe"),
    "other": ("other", "autre"),
    "unknown": ("UNEXPLAINED", "INEXPLIQUÉ"),
    "before_first_line": ("before the first line that is here", "avant la première ligne présente"),
    "after_last_line": ("after the last line that is here", "après la dernière ligne présente"),
    "no_line": ("no line speaks of it", "aucune ligne n’en parle"),
    "lines_missing": ("lines of the journal are missing", "des lignes du journal manquent"),
    "short_stall": ("no picture for less than a second", "aucune image pendant moins d’une seconde"),
    "until_first_picture": ("until the first picture", "jusqu’à la première image"),
    "waking": ("waking up, until the first picture", "réveil, jusqu’à la première image"),
    "no_activation": ("no activation yet", "pas encore d’activation"),
    "stopped": ("the recording was stopped", "l’enregistrement a été arrêté"),
    "stopped_machine_restarted": ("stopped in order, then the machine too", "arrêté normalement, la machine aussi"),
    "machine_went_down": ("the machine went down without a word", "la machine s’est arrêtée sans un mot"),
    "process_died": ("the process died and was started again", "le processus est mort et a été relancé"),
    "killed": ("the process died", "le processus est mort"),
    "service_stopped": ("stopped in order", "arrêté normalement"),
    "camera_fault": ("the camera gave no pictures", "la caméra n’a pas donné d’images"),
    "camera_stalled": ("the camera stalled", "la caméra s’est figée"),
    "disk_full": ("no space was left", "plus d’espace"),
    "ended": ("the camera's source ended", "la source de la caméra est finie"),
    "suspect": ("satellite time is suspect", "l’heure satellite est suspecte"),
    "unset": ("clock not set from outside ({})", "horloge non réglée de l’extérieur ({})"),
    "step": ("clock set by {}", "horloge décalée de {}"),
    "clock_step": ("the wall clock was set by {}", "l’horloge a été décalée de {}"),
    "boot_moved": (
        "times of this start of the machine are moved by {}: its clock contradicts the order of the lines",
        "les heures de ce démarrage sont décalées de {} : son horloge contredit l’ordre des lignes",
    ),
    "off_length_unproven": (
        "how long the machine was off is not proven: the clock was not set from outside on both sides",
        "la durée d’arrêt n’est pas prouvée : l’horloge n’était pas réglée de l’extérieur des deux côtés",
    ),
    "died_between": (
        "the run's last line; when it died before the next start is not known",
        "dernière ligne de ce démarrage ; le moment de l’arrêt avant le suivant n’est pas connu",
    ),
    "pre_event_lost": (
        "the pre-event buffer, {} at most, was lost with the process that died in standby",
        "le tampon d’avant-événement, {} au plus, est perdu avec le processus mort en veille",
    ),
    "proven_to": (
        "recording {} was cut: proven up to here, a second more may be in its file",
        "enregistrement {} coupé : prouvé jusqu’ici, une seconde de plus peut être dans son fichier",
    ),
    "signed_row": ("signed for", "signé"),
    "signed_missing": (
        "the device had signed for lines of this time that are not here",
        "l’appareil avait signé pour ce temps des lignes qui ne sont pas là",
    ),
    "signed_to": (
        "the device had signed for its journal up to line {}",
        "l’appareil avait signé son journal jusqu’à la ligne {}",
    ),
    "signed_not_come": (
        "LINES {} WERE SIGNED FOR by the device AND HAD NOT COME to the centre when the bundle was made",
        "LES LIGNES {} ÉTAIENT SIGNÉES par l’appareil ET PAS ARRIVÉES au centre quand le dossier a été fait",
    ),
    "signed_not_here": (
        "LINES {} WERE SIGNED FOR by the device AND ARE NOT HERE",
        "LES LIGNES {} ÉTAIENT SIGNÉES par l’appareil ET NE SONT PAS LÀ",
    ),
    "signed_elsewhere": (
        "the device had signed for lines {} too; the centre says that it has them",
        "l’appareil avait signé aussi les lignes {} ; le centre dit les avoir",
    ),
    "lines_undisclosed": (
        "lines between the bundles, which are in neither",
        "des lignes entre les dossiers, qui ne sont dans aucun",
    ),
    "lines_undisclosed_note": (
        "lines {} of the journal lie between the bundles and were not disclosed: each has the lines of its own item",
        "les lignes {} du journal sont entre les dossiers et n’ont pas été remises : chacun a celles de son élément",
    ),
    "problem": (
        "the centre found this wrong with the journal: {}",
        "le centre a trouvé ce défaut au journal : {}",
    ),
    "unread": ("NOT READ: {}", "NON LU : {}"),
    "key_inside": (
        "lines verified against the key that the bundle itself names",
        "lignes vérifiées avec la clé que le dossier nomme lui-même",
    ),
    "key_vouched": (
        "The device's key is vouched for by the bundle's own centre key {} alone: compare it with the one that the"
        " force has published, or give --trust.",
        "La clé de l’appareil n’est garantie que par la clé du centre {} du dossier lui-même : comparez-la à celle que"
        " le service a publiée, ou donnez --trust.",
    ),
    "lines_missing_note": ("lines {} of the journal are missing", "les lignes {} du journal manquent"),
}  # fmt: skip


class Words:
    """The words of one language; Usage where it is neither `en` nor `fr`."""

    def __init__(self, language: str) -> None:
        if language not in LANGUAGES:
            raise Usage(f"--lang {language!r} is not one of {', '.join(LANGUAGES)}")
        self.language = language
        self._column = LANGUAGES.index(language)

    def __call__(self, key: str, value: str = "") -> str:
        """The word or sentence for `key`, with `value` in it; the key itself where there is none."""
        text = _WORDS[key][self._column] if key in _WORDS else key
        return text.replace("{}", self.decimal(value) if key in _NUMBERS else value)

    def decimal(self, number: str) -> str:
        """A number that is written with a point, with this language's decimal sign: `85.9 %` or `85,9 %`."""
        return number.replace(".", ",") if self.language == "fr" else number

    def row(self, name: str) -> str:
        """The name of a row of overlays."""
        return self(f"{name}_row" if f"{name}_row" in _WORDS else name)

    def state(self, state: State) -> str:
        """The name of a state."""
        return self(state.value)

    def why(self, state: State, why: str) -> str:
        """The journal's word for why, or nothing where it says no more than the state does."""
        said = self("no_line" if state is State.UNKNOWN and not why else why)
        return "" if said == self.state(state) else said

    def label(self, label: str) -> str:
        """An overlay's label: a word, or a word and its value behind a colon."""
        key, _colon, value = label.partition(":")
        return self(key, value)

    def note(self, note: Note) -> str:
        """A note's sentence."""
        sentence = f"{note.kind}_note"
        return self(sentence if sentence in _WORDS else note.kind, note.value)
