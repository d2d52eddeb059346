"""The small words, opposites and synonyms by which sentences are compared; English first, German and French too."""

from __future__ import annotations


def listed(words: str) -> tuple[str, ...]:
    """The words of a text, in its order."""
    return tuple(words.split())


STOP_WORDS = frozenset(
    listed("""
    a an the this that these those it its he she they them their theirs his her him we our us i me my you your one
    ones is are was were be been being am has have had having do does did done doing will would shall should can
    could may might must to of in on at by for from with as and or but if then than so such there here where when
    while whereas which who whom whose what how why also just very quite rather only even still already yet about
    around roughly approximately nearly almost some any each every both all most many much more other another same
    own into onto over under up down out off through during between among per via within without upon against toward
    towards across along because since although though however therefore thus hence moreover furthermore meanwhile
    instead otherwise again far too well etc eg ie vs said says say according get gets got make makes made take
    takes took taken use uses used using der die das den dem des ein eine einen einem einer eines und oder aber auch
    nur noch schon sehr so wie als wenn dass ist sind war waren wird werden wurde wurden hat haben hatte sein kann
    können soll sollen sollte sollten muss müssen im in am an auf aus bei bis durch für gegen mit nach ohne über um
    unter von vom vor zu zum zur zwischen sich er sie es wir ihr man etwa rund dieser diese dieses welche dabei
    jedoch gilt mehr le la les un une des du de d l et ou mais est sont était étaient être a ont été il elle on ce
    cette ces son sa ses leur leurs qui que quoi dont où à au aux en dans par pour sur avec sans sous plus ne pas se
    s y n c qu faut desormais environ
""")
)
NEGATORS = frozenset(
    listed("""
    not no never without neither nor cannot none nobody nothing lack lacks lacking lacked fail fails failed unable
    nicht kein keine keinen keinem keiner nie niemals ohne weder pas jamais sans aucun aucune
""")
)
CONTRASTS = (
    "but not",
    "and not",
    ", not",
    "nicht aber",
    "rather than",
    "instead of",
    "unlike",
    "as opposed to",
    "statt",
    "anstatt",
    "au lieu de",
    "plutôt que",
)
BREAKS = frozenset(
    listed("""
    but while whereas although though because if when unless und aber sondern während weil mais tandis alors
""")
)
DISPUTED = frozenset(
    listed("""
    challenged questioned disputed contested doubt doubts doubted doubtful cautious inflated unproven unconfirmed
    controversial disagree disagrees umstritten bezweifelt contesté contestée controversé
""")
)
# A response with one of these does not say a thing outright.
HEDGES = DISPUTED | frozenset(
    listed("""
    may might could possibly perhaps probably potentially likely maybe presumably arguably appears appear seems seem
    suggests suggest expect expects expected believe believes believed assume assumes assumed estimate estimates
    estimated estimation projected forecast forecasts predicts predicted reportedly allegedly supposedly apparently
    rumoured rumored claims claimed plans planned hopes hope hoped wants intends aims uncertain unclear confidence
    according reported supposed
    könnte könnten möglicherweise vielleicht vermutlich wahrscheinlich offenbar angeblich laut schätzungen geschätzt
    erwartet dürfte soll sollen peut-être pourrait pourraient probablement selon estimations estime semble
    semble-t-il envisage souhaite prévoit
""")
)
# Words that tell little: a sentence may choose others without saying something else.
LIGHT_WORDS = listed("""
    contain include show find report hold have become remain stand lie reach amount see need require mean lead set
    number level way case part kind type time people person come go work take give put begin happen year value point
    form general important different several certain common typical specific fact example result rate
""")
# An answer with one of these claims no more than a hedged response; "plans" and "claims" are things there as often.
SOFTENED = (
    HEDGES
    - DISPUTED
    - frozenset(listed("claims claimed plans planned hopes hope hoped wants intends aims confidence sollen soll"))
) | frozenset(listed("can possible potential sometimes kann können peut"))
# What a word negates besides its stem: "invalid" is "valid" under a negation.
NEGATED_WORDS = {
    "invalid": "valid", "illegal": "legal", "unlawful": "lawful", "impossible": "possible", "unlikely": "likely",
    "ineligible": "eligible", "incorrect": "correct", "unknown": "known", "insufficient": "sufficient",
    "unaffected": "affect", "unsafe": "safe", "unavailable": "available", "inactive": "active", "unable": "able",
    "unsupported": "support", "unrelated": "relate", "ungültig": "gültig", "unmöglich": "möglich",
    "unwahrscheinlich": "wahrscheinlich", "inconsistent": "consistent", "ineffective": "effective",
}  # fmt: skip

# Opposites: the words of one line say that something goes one way | the other way. A word stands in one line only.
# In each line the forms that the stemmer does not join are written out.
_OPPOSITES = {
    "amount": """rise rose risen increase grow grew grown growth raise climb gain higher high widen larger greater
        expand elevate bigger surge soar accelerate jump boost more steigen steigt stieg gestiegen erhöhen erhöht höher
        zunehmen zugenommen augmenter augmente augmentation hausse élevé
        | fall fell fallen decline decrease drop reduce reduction lower low narrow shrink shrank smaller less fewer
        diminish wane contracted plunge slump dwindle cut remove eliminate sinken sinkt sank gesunken senken senkt
        niedriger abnehmen weniger diminuer diminue baisse réduire""",
    "bound": "above over exceed exceeding mindestens über | below under beneath höchstens unter",
    "extreme": "largest highest biggest greatest maximum best größte | smallest lowest minimum worst kleinste",
    "share": "majority | minority",
    "flow": "inflow | outflow",
    "often": "often frequent frequently common commonly usually | rare rarely rarity seldom uncommon",
    "switch": "enabled on-default active | disabled off-default",
    "allow": "allow permit legal lawful authorise authorize | forbid prohibit ban illegal",
    "accept": "accept approve uphold validate validé valider | reject refuse deny overturn rejeté rejeter",
    "win": "win won victory beat | lose lost",
    "cause": "cause trigger produce | prevent avert",
    "promote": "promote stimulate foster fördern fördert | inhibit suppress hinder hemmen hemmt",
    "support": "support favour favor endorse | oppose",
    "sex": "male men man boys | female women woman girls",
    "extent": "over-part | under-part",
    "grain": "finer fine | coarser coarse",
    "heat": "hotter hot warm warmer | cooler cool cold colder",
    "speed": "faster fast quick quickly rapid | slower slowly sluggish",
    "strength": "stronger strong strengthen | weaker weak weaken",
    "merit": "better improve improves improved improvement | worse worsen degrade harm harmed deteriorate",
    "safety": "safe safer | dangerous unsafe hazardous",
    "length": "longer long | shorter short shorten",
    "price": "cheap cheaper inexpensive | expensive costly dearer",
    "member": "include | exclude",
    "sign": "positive | negative",
    "duty": "mandatory compulsory obligatory | optional voluntary",
    "trade": "buy bought purchase | sell sold",
    "stance": "bullish hawkish | bearish dovish",
    "balance": "surplus profit | deficit loss",
    "grade": "upgrade | downgrade",
    "side": "left | right",
    "start": "begin began begun start open opened | end ended stop stopped finish close closed",
    "give": "received receive | suffered suffer",
    "attach": "first | last",
}
UNDIRECTED = ("frequency", "frequencies", "commonwealth", "allowance", "includes", "including", "lossless")
STEADY = ("unchanged", "steady", "constant", "flat", "similar", "identical", "stable", "unverändert", "inchangé")
_SYNONYMS = """
    main chief primary principal major hauptsächlich|mainly chiefly primarily mostly largely predominantly
    need require necessary must needed|show demonstrate find found showed shown finding|report state
    guarantee ensure|buy purchase acquire|observe detect see seen saw measure|get receive obtain|help aid assist
    due reason cause driver|expect anticipate forecast predict expected|contain include comprise
    hold held keep kept|big large|patient people person adult|doctor physician|drug medication medicine
    pick choose select|suggest propose|try attempt|use employ utilise|begin start commence|firm company business
    car vehicle automobile|happen occur|important significant|crucial key essential|study trial research
    country nation|law statute legislation|rule regulation|fast quick rapid|illness disease|avoid shun
    execute guillotine|abolish scrap|notify inform tell told|destroy annihilate|wane decline fade
    absorb uptake|excess additional extra|emit radiate|heavy mass massive|restrict limit|delay postpone
    compare contrast|yearly annual annually year|month monthly|week weekly|day daily
    liegen beträgt liegt betrug|brauchen benötigen|recourir utiliser recours utilisé|recommend advise prefer
    record document|quit resign|pay paid|sum amount total|usually generally normally|rise rose
    gut good|roughly about|staff worker employee|salary wage pay|court tribunal|error mistake
    answer reply|ask query|monitor check|quickly fast|prove show|grow expand|pool pooler pooling
    euro eur|us american|uk british|eu european|phone smartphone|picture image photo photograph
"""
_IRREGULAR = """fell fall|fallen fall|rose rise|ran run|won win|held hold|bought buy|gave give|given give|led lead
    wrote write|written write|drew draw|drawn draw|went go|gone go|lost lose|built build|met meet|paid pay|sent send
    spent spend|kept keep|left leave|known know|knew know|grew grow|grown grow|stood stand|broke break|broken break
    chose choose|chosen choose|taught teach|thought think|brought bring|caught catch|fought fight|sought seek|felt feel
    drove drive|driven drive|spoke speak|spoken speak|stole steal|struck strike|men man|women woman
    children child|people person|analyses analysis|criteria criterion|data datum|indices index|stricken strike
    dropped drop|stopped stop|permitted permit|planned plan|cutting cut|got get|showed show|shown show|proven prove"""


IRREGULAR: dict[str, str] = {
    entry.split()[0]: entry.split()[1] for entry in _IRREGULAR.replace("\n", "|").split("|") if entry.strip()
}
SYNONYMS: tuple[tuple[str, ...], ...] = tuple(
    tuple(group.split()) for group in _SYNONYMS.replace("\n", "|").split("|") if group.strip()
)
OPPOSITES: dict[str, tuple[str, int]] = {
    word: (axis, sign)
    for axis, line in _OPPOSITES.items()
    for sign, side in zip((1, -1), line.split("|"), strict=True)
    for word in side.split()
}
