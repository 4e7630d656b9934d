"""The names and words that the sample school is written with, and the dice that choose among them."""

import datetime
import random
from collections.abc import Sequence

from benchmarks.school import SEED


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


FIRST_NAMES = _words(
    "Amélie Aurélien Béatrice Benoît Chloé Cécile Damien Désiré Élodie Étienne Fatou François Gaëlle Grégoire Hélène "
    "Hugo Inès Issa Jérôme Joséphine Koffi Kévin Léa Loïc Mamadou Maëlys Noël Noémie Océane Ousmane Pélagie Pierre "
    "Quentin Raphaël Régine Salomé Sébastien Théo Thérèse Ursule Valérie Victor Wilfried Xavier Yasmine Zoé"
)
LAST_NAMES = _words(
    "Abéga Adjovi Bamba Bâ Béranger Camara Cissé Coulibaly Dembélé Diallo Diop Dupré Ébène Étoundi Fofana Françon "
    "Gbaguidi Guèye Hounsou Houédanou Ibrahima Kaboré Kéita Koné Kouassi Lefèvre Léger Mbarga Mbemba N'Diaye N'Guessan "
    "Nkoulou Ouattara Ouédraogo Pérez Quénum Renée Sané Sarr Sow Tanoh Touré Traoré Vignon Wade Yaméogo Zinsou "
    "Zongo"
)
CITIES = _words(
    "Abidjan Bamako Bobo-Dioulasso Bouaké Cotonou Conakry Dakar Douala Lomé Libreville Niamey Ouagadougou Parakou "
    "Porto-Novo Saint-Louis Thiès Yaoundé Ziguinchor"
)
SUBJECTS = _words(
    "Mathématiques Français Anglais Histoire-Géographie Physique-Chimie SVT Philosophie EPS Informatique Économie "
    "Allemand Espagnol Arts Musique"
)
CHANGED_FIELDS = ("montant", "statut", "valeur", "note", "adresse")
LEVELS = ("6ème", "5ème", "4ème", "3ème", "2nde", "1ère", "Tle")
WORDS = _words(
    "absence retard justifié non famille prévenue devoir rendu excellent travail continue effort insuffisant bavardage "
    "progrès remarquable participation orale écrit trimestre conseil classe encouragements félicitations avertissement "
    "réinscription paiement tranche scolarité cantine transport bourse reçu chèque espèces virement mobile money solde "
    "dossier complet incomplet certificat médical visite infirmerie parents convoqués rendez-vous direction "
    "surveillant"
)

FIRST_DAY = datetime.datetime(2021, 9, 1, 7, 30)  # noqa: DTZ001 - the sessions that read it have UTC as their zone
DAYS = 1100


class Dice(random.Random):
    """Chance that falls the same way each time for the same `topic`."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"{SEED}/{topic}")

    def below(self, end: int) -> int:
        """From 0 to `end - 1`. Much faster than `randrange`, and as good for a sample school."""
        return int(self.random() * end)

    def between(self, first: int, end: int) -> int:
        """From `first` to `end - 1`."""
        return first + int(self.random() * (end - first))

    def pick(self, items: Sequence[str]) -> str:
        return items[int(self.random() * len(items))]

    def sentence(self, words: int) -> str:
        return " ".join(self.choices(WORDS, k=words)).capitalize() + "."

    def instant(self) -> str:
        """A moment of the school's years, to the microsecond."""
        return str(FIRST_DAY + datetime.timedelta(seconds=self.random() * DAYS * 86_400))

    def date(self, first: datetime.date, days: int) -> str:
        return str(first + datetime.timedelta(days=self.below(days)))
