"""Word lists behind :mod:`c2vl_lab.prompts.nouns`: what opens and ends a noun phrase, and which nouns are no objects.

Our own lists, grown by reading texts: sentences of multimodal models about recordings of people, and our own kinematic
captions. Nouns stand here in the singular.
"""

from __future__ import annotations


def words(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


DETERMINERS = words(
    "a an the his her their its my your our this that these those some any another each every both either neither "
    "several many multiple various no one two three four five few whose own other different certain"
)
# after these a noun needs no determiner: "holding scissors", "with headphones on", "a pair of glasses"
HOLDING = words("holding holds hold held carrying carries carry throwing catching lifting")
WEARING = words("wearing wears wear")
POSTURES = words("standing stands sitting sits seated lying lies kneeling kneels balancing")
HANDLING = HOLDING | WEARING | words("using uses use drinking eating reading playing")
BEFORE_BARE = HANDLING | words("of with")
JOINERS = words("and or")

# A noun phrase is over at any of these.
FUNCTION = words(
    "and or but nor so yet than then as if while when where whether because although though since until unless that "
    "which who whom whose what how why there here it he she they we i you them him me us himself herself themselves "
    "itself themself oneself nothing anything something everything nobody anybody somebody someone anyone everyone "
    "none of in on at to from with by for into onto over under above below between among through across behind before "
    "after around about along against toward towards near next beside besides inside outside within without upon out "
    "off up down away back forth like such not never only just also too very more most less least quite rather even "
    "still again already perhaps maybe is are was were be been being am has have had do does did can could may might "
    "must shall should will would cannot isn't aren't wasn't doesn't don't didn't can't won't couldn't it's he's "
    "she's they're that's there's yes appear appears seem seems look looks suggest suggests indicate indicates "
    "provide provides hold holds wear wears use uses play plays stand stands sit sits make makes take takes show "
    "shows move moves goes go raise raises rise rises start starts end ends stay stays come comes bend bends lean "
    "leans turn turns allow allows help helps require requires let lets involve involves keep keeps connected visible "
    "together nearby present upright overhead etc eg ie forward forwards backward backwards sideways sideway upward "
    "upwards downward downwards apart lift lifts open opens close closes sink sinks once twice far known came refer "
    "refers resembles bent stuck vary contain contains fix caught indoors better worse cover indoor all repeat "
    "repeats pass passes lies lie falls fall hangs hang covers works work faces says reads writes walks runs jumps "
    "throws catches swings waves touches puts lays reaches leads adds gives gets becomes remains alone straighten "
    "straightens"
)
# -ing words that are nouns or belong to them
ING_NOUNS = words(
    "string ring earring clothing building ceiling painting drawing railing swing wing king morning evening thing "
    "spring frying dining swimming sewing cutting gaming boxing bowling hiking skiing fishing vending washing writing "
    "reading measuring rolling sleeping shopping wedding living training mixing knitting"
)
# adjectives: they are left out of the name ("a blue jacket" is a jacket), but a phrase may go on after them
ADJECTIVES = words(
    "black white red blue green yellow orange purple pink brown gray grey silver golden gold beige dark light bright "
    "colorful tan navy striped plaid floral patterned big small large little tiny huge tall short long wide narrow "
    "thick thin round square flat soft hard old new young good bad nice clean dirty empty full open closed wooden "
    "metal plastic leather glass paper denim cotton concrete brick carpeted tiled hardwood tile marble similar same "
    "different various certain specific particular possible likely other own single double first second third last "
    "next final main whole entire partial half several left right upper lower middle front rear top bottom inner "
    "outer virtual digital electronic electric mobile modern traditional formal casual comfortable red-colored "
    "sleeveless long-sleeved short-sleeved hand-held handheld potted stuffed folded rolled wireless portable personal "
    "professional public private indoor outdoor high low deep fast slow medium straight clear visible unknown "
    "unidentified clockwise counter-clockwise loose tight bare heavy hot cold warm wet dry male female older younger "
    "slight steady exact unpleasant creative great lit flowery makeshift aerial attached nearby handmade better "
    "higher larger smaller funny contemplative positive unusual confident defensive artistic tense unique musical "
    "emotional physical broken real upside natural unconventional motion-sensitive motion-controlled electrical live "
    "vertical horizontal additional extra multimedia interactive exciting awkward silly playful thoughtful friendly "
    "focused proper entertaining recreational informal generic special favorite remote-controlled"
)
# pairs that belong together though the first word is on a list above
KEPT_PAIRS = frozenset(
    pair.replace("_", " ")
    for pair in words(
        "ankle_brace arm_chair baby_stroller back_pack back_rest blow_dryer board_game bow_tie dance_mat ear_bud "
        "ear_phone entertainment_system eye_mask face_mask face_towel flip_flop foot_rest foot_stool glass_bottle "
        "hair_brush hair_dryer hair_tie hand_fan hand_mirror hand_sanitizer hand_towel hand_weight head_band "
        "head_phone head_set high_heel kitchen_appliance kitchen_utensil knee_brace knee_pad leg_brace light_bulb "
        "light_saber light_switch model_airplane music_stand neck_brace neck_tie office_chair paper_bag paper_cup "
        "paper_towel plastic_bag plastic_bottle potted_plant remote_control stage_light stuffed_animal stuffed_toy "
        "teddy_bear video_game wall_clock wine_glass wrist_band wrist_watch yoga_mat"
    )
)

BODY = words(
    "hand arm leg foot head face eye ear nose mouth lip tooth tongue hair neck shoulder chest back waist hip thigh "
    "knee shin calf ankle toe heel finger thumb palm fist wrist elbow forearm body trunk torso belly stomach side "
    "skin beard mustache chin cheek forehead eyebrow limb lap muscle joint upper-body spine bottom nail fingernail "
    "finger-tip fingertip ponytail feature backside butt crotch heart sinus sinuse sole fingerprint"
)
PERSONS = words(
    "person man woman boy girl child kid baby people adult teenager individual someone lady gentleman guy player "
    "dancer audience crowd friend family member group couple performer actor actress singer musician student teacher "
    "worker photographer viewer observer instructor opponent partner participant user speaker host presenter "
    "character self model athlete skateboarder gamer doctor nurse chef customer pair-of-people team human figure "
    "subject toddler colleague spectator listener artist other someone-else everyone party recipient announcer "
    "soldier orchestra choir coworker ballerina contortionist maniac creature company passerby"
)
PLACES = words(
    "room floor ground wall ceiling corner kitchen bedroom bathroom office gym stage studio street park place area "
    "space spot location position environment background foreground scene setting surrounding house home building "
    "indoors outdoors world air sky sun sea field court hall hallway classroom living-room school store restaurant "
    "city side left right top bottom front middle center centre edge end start beginning line way direction distance "
    "height level quarter half part step path circle loop arc curve stroke carpet hardwood tile surface internet web "
    "website online doorway entrance lobby gymnasium theater laboratory lab hospital workplace venue platform "
    "interior garage dance-floor sidewalk airport hotel workspace terminal base staircase sofa-side court-side "
    "platform-edge outlet-mall rooftop stair length nearest farthest"
)
ABSTRACT = words(
    "object item thing something stuff kind type sort form shape color colour size number amount lot bit piece pair "
    "set set-up variety series range use purpose reason case example idea thought mind attention interest focus mood "
    "emotion feeling joy fun happiness excitement enthusiasm surprise confusion frustration anger pain energy "
    "strength power force speed pace rhythm balance stability posture pose stance gesture motion movement action "
    "activity exercise workout routine task job work business practice performance presentation speech conversation "
    "discussion communication interaction call message email text picture photo photograph image video song music "
    "sound voice dance move trick stunt split jump leap kick punch throw catch swing hit shot bow wave spin turn "
    "twist stretch squat lunge walk run step-by-step stroll game sport match competition event occasion session class "
    "lesson time moment second minute hour day night today way-out manner style fashion look appearance expression "
    "impression sense effect result process technique skill ability talent level context content detail information "
    "data answer question description clue evidence indication sign intention goal aim attempt effort try plan "
    "challenge problem issue matter fact truth possibility chance opportunity experience situation circumstance "
    "condition state status presence absence lack view angle perspective point spot-on selfie photo-op recording "
    "footage film movie show program progress feature function control access app application software browser social "
    "media entertainment fitness health safety comfort relaxation style-wise meal food-prep breakfast lunch dinner "
    "snack-time life love peace greeting goodbye hello yoga karate tai chi martial art hip-hop choreography aerobics "
    "basketball-game interview demonstration lecture tutorial project assignment homework stream streaming livestream "
    "connection contact touch support help assistance hold grip grasp reach rest sleep break sit seat-taking "
    "conclusion assumption guess determination explanation reference addition order response reaction mean means "
    "total width gap shoulder-width medium spread orientation facing path contrast photo-shoot gaming multitask "
    "multitasking shopping texting browsing chat news weather word letter name title theme script language tone pitch "
    "note beat tempo volume setting channel hobby leisure profession career outfit attire gear-up trend identity "
    "gender age race character role scenario stage-show routine-like yes no need want desire hint tip advice visual "
    "whole majority rest-of frame shot-of focus-on pastime fall push-up pull-up sit-up handstand headstand backbend "
    "backflip flip hop hug handshake salute prayer ballet podcast blog voiceover voice-over signal technology breath "
    "respect disrespect injury discomfort noise row ride gameplay source itch rain act smile frown smirk victory "
    "triumph approval maneuver broadcast talk shoot alarm passage test trip joke symbol surrender obstacle thirst "
    "audio pulse vocal design privacy distress yawn bite temperature clip great-deal ritual prompt fight fit concert "
    "atmosphere recipe debate opinion humor company schedule hurry headache setup clap heartbreak tear limp procedure "
    "stop rate sip swig story wish military jazz boxing living tug-of-war review physique applause gameplay-session "
    "product menu command input layout drink-break sunlight light-source furniture-set arrangement discus cheer "
    "parody mistake memory promise rhythm-game accident barrier-free guitar-solo belonging post topic target knot "
    "track stack cross pattern attitude smell karaoke vlog kickflip spill choke chokehold nature interface star "
    "course aid pile focuse period writing barrier maniac laugh heart-rate flash beam deal everything-else demeanor "
    "decision"
)
SUFFIXES = ("tion", "sion", "ness", "ity", "ism", "ship", "ance", "ence", "ment", "hood", "dom", "graphy")
SUFFIX_OBJECTS = words(
    "equipment instrument garment appliance ornament cushion lotion television station fence workstation playstation "
    "cosmetic document condiment potion ambulance monument undergarment"
)
# always plural, or ending in s in the singular
NO_PLURAL = words(
    "glasses sunglasses scissors shorts pants trousers jeans pliers headphones earphones goggles tongs tights leggings "
    "tweezers binoculars overalls pajamas canvas cactus lens gas bus chess tennis dress glass mattress harness "
    "sweatpants clothes headdress compass brass grass class"
)
BEINGS = BODY | PERSONS
ENDS = FUNCTION | DETERMINERS
NEVER = BODY | PERSONS | PLACES | ABSTRACT

# words that deny what follows in the same clause
DENIALS = words(
    "not no without neither nor never isn't aren't wasn't doesn't don't didn't can't cannot nothing none isn’t aren’t "
    "doesn’t don’t"
)
# nouns that say nothing of the object behind them: "hand sanitizer" is rare, "the person's hand towel" is not
NEVER_BEFORE = (NEVER - words("game video dance music exercise yoga entertainment hair blow")) | words("one way hand")
